"""Watching a model: each operation of its forward passes is looked at, before it runs."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from leaky.evidence import Evidence, Site
from leaky.torch.watch import flow, names
from leaky.torch.watch.forms import FORMS, Arguments, Form
from leaky.torch.watch.labels import Label, Layout, along, layout
from leaky.torch.watch.names import Names, unwrapped
from leaky.torch.watch.origin import Call, Origin, Origins, Rule
from leaky.torch.watch.statistics import statistics
from leaky.torch.watch.written import MARKS, WRITTEN, Written


@contextmanager
def watch(model: nn.Module, *, gradients: bool = False) -> Iterator[Watch]:
    """Watch the forward passes of a model, in this thread, for its activation sites and their evidence.

    Each call of the model is one batch, whose samples lie on axis 0 of its first input. Nothing is left behind when
    the context is left, however it is; the model's state is not looked after: see :func:`undisturbed`.

    Args:
        model: as it is called, or within torch.compile, DataParallel or DistributedDataParallel.
        gradients: take in the gradients, too, that backward passes bring to the outputs of the sites.
    """
    root = unwrapped(model)
    seen = Watch(model, root, gradients)
    with ExitStack() as stack:
        if "torch._dynamo" in sys.modules:  # without it nothing is compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        fast = torch.backends.mha.get_fastpath_enabled()
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        torch.backends.mha.set_fastpath_enabled(False)  # it would hide the activation of nn.TransformerEncoderLayer
        handle = root.register_forward_pre_hook(seen._begin, with_kwargs=True)
        stack.callback(handle.remove)
        stack.enter_context(seen._names.following(seen._end))
        stack.enter_context(seen)
        yield seen


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done about an operation, worked out when it is first met."""

    arguments: tuple[str, ...]
    form: Callable[[Arguments], Form | None] | None
    written: Callable[[Call], Written | None] | None
    mark: Callable[[Call, Any], Any] | None
    rule: Rule
    #: whether it is only a name for other operations, which inference mode does not take apart
    composite: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """What can be said of a call without looking at its numbers."""

    #: of the site, but for the count of its calls
    name: str
    #: the module of PyTorch's own that the call is made by
    builtin: str | None
    layout: Layout
    units: int
    note: str


@dataclass(slots=True)
class _Meeting:
    """A site, as it is known from one forward pass to the next."""

    site: Site
    evidence: Evidence


class Watch(TorchDispatchMode):
    """What has been seen of a model's activation sites. Made by :func:`watch`."""

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # what keeps TorchDynamo out imports it first; here nothing is compiled anyhow

    def __init__(self, model: nn.Module, root: nn.Module, gradients: bool) -> None:
        super().__init__()
        #: what could not be seen, and why
        self.notes: list[str] = []
        self._names = Names(root)
        parameters = root.named_parameters(remove_duplicate=False)
        self._origins = Origins({names.cleaned(path): parameter for path, parameter in parameters})
        self._gradients = gradients
        self._plans: dict[Any, _Plan] = {}
        self._met: dict[Any, _Meeting | None] = {}
        self._places: dict[Any, _Place] = {}
        self._calls: dict[Any, int] = {}
        self._pending: list[tuple[weakref.ref[Tensor], Layout, Evidence]] = []
        self._samples = 0
        self._root = root
        self._note_what_hides(model, root)

    @property
    def sites(self) -> dict[str, tuple[Site, Evidence]]:
        """The sites by their names, in the order in which they were first met."""
        return {met.site.name: (met.site, met.evidence) for met in self._met.values() if met is not None}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and look at it if it belongs to a forward pass of the model."""
        kwargs = kwargs or {}
        if not self._names.inside or torch._C._current_graph_task_id() != -1:  # -1: no backward pass is running
            return func(*args, **kwargs)
        plan = self._plans.get(func) or self._planned(func)
        if plan.composite:
            with self:
                return func.decompose(*args, **kwargs)
        if self._pending:
            self._await_gradients()
        given = dict(zip(plan.arguments, args, strict=False))
        given.update(kwargs)
        origins = self._origins
        origins.here = self._names.path
        call = origins.call(given)
        key, arranged = self._look(plan, call) if plan.form or plan.written else (None, None)
        mark = plan.mark and plan.mark(call, key)
        out = func(*args, **kwargs)
        origins.follow(func, plan.rule, call, out)
        if mark is not None:
            origins.mark(out, mark)
        if arranged is not None and self._gradients:
            met = self._met[key]
            assert met is not None
            self._pending.append((weakref.ref(out), arranged, met.evidence))
        return out

    def _planned(self, func: Any) -> _Plan:
        if isinstance(func, OpOverload):
            space, _, name = func._schema.name.partition("::")
            arguments = tuple(argument.name for argument in func._schema.arguments)
        else:  # an operation on functions, such as torch.cond
            space, name, arguments = "higher", func.name(), tuple(map(str, range(100)))
        if space == "aten":
            name = name.rstrip("_")
            rule = flow.RULES.get(name, flow.elementwise)
            plan = _Plan(arguments, FORMS.get(name), WRITTEN.get(name), MARKS.get(name), rule, func._can_decompose())
        else:
            plan = _Plan(arguments, None, None, None, flow.elementwise, False)
            if not space.startswith(("prim", "profiler", "c10d", "_c10d")):
                self._note(f"{self._names.path or 'the model'}: what {space}::{name} does inside is not seen")
        self._plans[func] = plan
        return plan

    def _begin(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if self._names.depth > 1:
            return
        self._calls.clear()
        self._pending.clear()
        self._samples = self._origins.begin([args, kwargs])

    def _end(self) -> None:
        self._await_gradients()
        self._origins.end()

    def _look(self, plan: _Plan, call: Call) -> tuple[Any, Layout | None]:
        """Take in the evidence, if the operation is a site; return the site's key and how its tensors are laid out."""
        form = plan.form and plan.form(call.given)
        if form is not None:
            name, x = next(iter(call.given.items()))
            written: Written | None = Written(x, call[name] or Origin(), form)
        else:
            written = plan.written and plan.written(call)
        if written is None:
            return None, None
        x = written.x
        if not x.is_floating_point() or not x.numel() or isinstance(self._names.module, nn.RNNBase):
            return None, None
        if x.layout != torch.strided or x.is_nested:
            self._note(f"{self._names.path or 'the model'}: {written.form.form} of a tensor that is not dense")
            return None, None
        return self._meet(written)

    def _meet(self, written: Written) -> tuple[Any, Layout | None]:
        form, origin, x = written.form, written.origin, written.x
        for part in written.parts:  # what was taken for a sigmoid was the first half of a SiLU
            if part is not None:
                self._met[part] = None
        where = (self._names.module, self._names.path, origin, self._samples, x.shape, form.form)
        place = self._places.get(where) or self._placed(where, form)
        line = None if place.builtin else names.source()
        call = (place.name, line, form.kind)
        self._calls[call] = number = self._calls.get(call, -1) + 1
        key = (*call, number, place.units)
        arranged = place.layout
        x = arranged(x)
        if key not in self._met:
            slope = _numbers(form.slope)
            site = Site(
                name=self._unused(place.name),
                kind=form.kind,
                form=place.builtin or form.form,
                module=self._names.path,
                units=place.units,
                axis=arranged.axis,
                shape=tuple(x.shape[1:]),
                slope=slope[0] if len(slope) == 1 else slope or None,
                limits=form.limits,
                fed_by=origin.layer,
                source=line,
                **_judged(form, origin, arranged.axis, place.note),
            )
            self._met[key] = _Meeting(site, Evidence(site.units))
        met = self._met[key]
        if met is None:
            return key, None
        if form.threshold:
            x = x - form.threshold
        met.evidence.add(statistics(x, arranged.axis, form.limits))
        return key, arranged

    def _placed(self, where: Any, form: Form) -> _Place:
        """Work out what a call is named by and how its tensors are laid out, for all calls that are alike."""
        module, path, origin, _, shape, _ = where
        units = origin.units
        slopes = len(_numbers(form.slope))
        if units is None and slopes > 1 and len(shape) > 1 and shape[1] == slopes:
            units = along(shape, 1)
        samples, note = self._samples_of(origin, shape)
        if form.threshold:
            note = "; ".join(filter(None, (f"its pre-activation is what exceeds {form.threshold:g}", note)))
        arranged = layout(shape, samples, units)
        count = 1 if arranged.axis is None or units is None else units[0]
        builtin = None if module is None else _activation(module)
        name = f"{path}.{form.call}()" if path else f"{form.call}()"
        if module is not None and path and (builtin or not (any(module.parameters()) or any(module.children()))):
            name = path
        if len(self._places) > 1000:
            self._places.clear()
        self._places[where] = place = _Place(name, builtin and f"nn.{builtin}", arranged, count, note)
        return place

    def _unused(self, base: str) -> str:
        taken = {met.site.name for met in self._met.values() if met is not None}
        name, number = base, 0
        while name in taken:
            number += 1
            name = f"{base}[{number}]"
        return name

    def _samples_of(self, origin: Origin, shape: torch.Size) -> tuple[Label, str]:
        """Return where the samples lie: where the inputs' went; else along the first axis, with what it holds beside."""
        if origin.samples is not None:
            return origin.samples, ""
        total = shape.numel()
        if shape and shape[0] % self._samples == 0:
            return (self._samples, total // self._samples), ""
        count = shape[0] if shape else 1
        return (count, total // count), f"its axis 0, of {count}, is taken for the samples"

    def _await_gradients(self) -> None:
        """Have the gradients of the sites whose outputs autograd has taken over by now brought to their evidence."""
        waiting = []
        for ref, arranged, evidence in self._pending:
            output = ref()
            if output is None:
                continue
            if output.grad_fn is None:
                waiting.append((ref, arranged, evidence))
            else:
                output.register_hook(_Gradient(arranged, evidence))
        self._pending = waiting

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _note_what_hides(self, model: nn.Module, root: nn.Module) -> None:
        if isinstance(model, nn.DataParallel) and len(model.device_ids) > 1:
            self._note("DataParallel runs its copies in threads of their own, which are not seen: check the module in it")
        scripted: list[str] = []
        for path, module in root.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                if not any(path.startswith(f"{other}.") or not other for other in scripted):
                    scripted.append(path)
                    self._note(f"{path or 'the model'}: TorchScript keeps the names of its modules to itself")
            elif isinstance(module, nn.RNNBase):
                self._note(f"{path or 'the model'}: nn.{type(module).__name__} does its steps in one call: its units are not seen")


class _Gradient:
    """A hook that takes in the gradient at a site's output."""

    def __init__(self, arranged: Layout, evidence: Evidence) -> None:
        self._arranged, self._evidence = arranged, evidence

    def __call__(self, gradient: Tensor) -> None:
        x = self._arranged(gradient.detach().abs())
        seen = statistics(x, self._arranged.axis, (0.0, float("inf")))
        self._evidence.add_gradient(seen.total, seen.positions)


def _activation(module: nn.Module) -> str | None:
    """Return the name of the activation of PyTorch's own that a module is."""
    for each in type(module).__mro__:
        if each.__module__ == "torch.nn.modules.activation":
            return None if each is nn.MultiheadAttention else each.__name__
    return None


def _numbers(slope: float | Tensor | None) -> tuple[float, ...]:
    """Return the slopes of a form as numbers."""
    if isinstance(slope, Tensor):
        return tuple(slope.detach().double().flatten().tolist())
    return () if slope is None else (slope,)


def _judged(form: Form, origin: Origin, axis: int | None, note: str) -> dict[str, Any]:
    """Return whether a site is judged, with a note of why it is not or of what is not known."""
    if origin.weights:
        return {"judged": False, "note": "of weights alone, not of data"}
    if origin.layer is None:
        return {"judged": False, "note": "fed from no weights"}
    if form.doubtful and origin.mixed:
        return {"judged": False, "note": "a maximum with 0 of a sum or mean, not of a layer's units"}
    if axis is None:
        note = "; ".join(filter(None, ("the axis of its units could not be told: taken as one unit", note)))
    return {"judged": True, "note": note}
