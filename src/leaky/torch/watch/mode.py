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
from torch.utils._python_dispatch import TorchDispatchMode

from leaky.evidence import Batch, Evidence, Site
from leaky.torch.watch import flow, names
from leaky.torch.watch.forms import FORMS, Arguments, Form
from leaky.torch.watch.labels import Label, Layout, along, layout
from leaky.torch.watch.names import Names, unwrapped
from leaky.torch.watch.origin import Origin, Origins
from leaky.torch.watch.statistics import statistics
from leaky.torch.watch.written import MARKS, WRITTEN, Written, is_data

Statistics = Callable[[Tensor, int | None, tuple[float, float]], Batch]


@contextmanager
def watch(model: nn.Module, *, gradients: bool = False, statistics: Statistics = statistics) -> Iterator[Watch]:
    """Watch the forward passes of a model, in this thread, for its activation sites and their evidence.

    Each call of the model is one batch, whose samples lie on axis 0 of its first input. Nothing is left behind when
    the context is left, however it is; the model's state is not looked after: see :func:`undisturbed`.

    Args:
        model: as it is called, or within torch.compile, DataParallel or DistributedDataParallel.
        gradients: take in the gradients, too, that backward passes bring to the outputs of the sites.
        statistics: what is taken in of a pre-activation, its samples on axis 0: from it, the axis of its units (None: one
            unit) and the site's limits.
    """
    root = unwrapped(model)
    seen = Watch(model, root, gradients, statistics)
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

    name: str
    arguments: tuple[str, ...]
    form: Callable[[Arguments], Form | None] | None
    written: Callable[[Arguments, Origins], Written | None] | None
    mark: Callable[[Arguments, Origins, Any], Any] | None
    flow: flow.Rule
    #: whether it is only a name for other operations, which inference mode does not take apart
    composite: bool


@dataclass(slots=True)
class _Meeting:
    """A site, as it is known from one forward pass to the next."""

    site: Site
    evidence: Evidence


class Watch(TorchDispatchMode):
    """What has been seen of a model's activation sites. Made by :func:`watch`."""

    def __init__(self, model: nn.Module, root: nn.Module, gradients: bool, statistics: Statistics) -> None:
        super().__init__()
        #: what could not be seen, and why
        self.notes: list[str] = []
        self._names = Names(root)
        self._origins = Origins(root, self._names)
        self._gradients = gradients
        self._statistics = statistics
        self._plans: dict[Any, _Plan] = {}
        self._met: dict[Any, _Meeting | None] = {}
        self._calls: dict[Any, int] = {}
        self._pending: list[tuple[weakref.ref[Tensor], Layout, Evidence]] = []
        self._samples = 0
        self._root = root
        self._note_what_hides(model, root)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or PyTorch loads its compiler, to keep it from what is not compiled in the first place

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
        key, arranged = self._look(plan, given)
        mark = None if plan.mark is None else plan.mark(given, self._origins, key)
        out = func(*args, **kwargs)
        plan.flow(self._origins, given, out)
        if mark is not None and (origin := self._origins.find(out)):
            origin.mark = mark
        if arranged is not None and self._gradients:
            met = self._met[key]
            assert met is not None
            self._pending.append((weakref.ref(out), arranged, met.evidence))
        return out

    def _planned(self, func: Any) -> _Plan:
        space, _, name = func._schema.name.partition("::")
        known = space in ("aten", "prims")
        name = name if name.startswith("__") else name.rstrip("_")
        names_ = tuple(argument.name for argument in func._schema.arguments)
        if not known:
            name = func._schema.name
            if not space.startswith(("prim", "profiler", "c10d", "_c10d")):
                self.notes.append(f"{self._names.path or 'the model'}: {name} is an operation that cannot be looked into")
        plan = _Plan(
            name,
            names_,
            FORMS.get(name),
            WRITTEN.get(name),
            MARKS.get(name),
            flow.RULES.get(name, flow.elementwise),
            known and func._can_decompose(),
        )
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

    def _look(self, plan: _Plan, given: Arguments) -> tuple[Any, Layout | None]:
        """Take in the evidence, if the operation is a site; return the site's key and how its tensors are laid out."""
        form = plan.form and plan.form(given)
        if form is not None:
            x = next(iter(given.values()))
            written = Written(x, self._origins.find(x) or Origin(), form)
        elif plan.written is None or (found := plan.written(given, self._origins)) is None:
            return None, None
        else:
            written = found
        x = written.x
        if not x.is_floating_point() or not x.numel() or isinstance(self._names.module, nn.RNNBase):
            return None, None
        if x.layout != torch.strided or x.is_nested:
            self._note(f"{self._names.path or 'the model'}: {written.form.form} of a tensor that is not dense")
            return None, None
        return self._meet(written)

    def _meet(self, written: Written) -> tuple[Any, Layout | None]:
        form, origin, shape = written.form, written.origin, written.x.shape
        for part in written.parts:  # what was taken for a sigmoid was the first half of a SiLU
            if part is not None:
                self._met[part] = None
        base, as_written, line = self._called(form)
        slope, slopes = _numbers(form.slope)
        units = origin.units
        if units is None and slopes > 1 and len(shape) > 1 and shape[1] == slopes:
            units = along(shape, 1)
        samples, note = self._samples_of(origin, shape)
        arranged = layout(shape, samples, units)
        call = (base, line, form.kind)
        self._calls[call] = number = self._calls.get(call, -1) + 1
        key = (*call, number, 1 if arranged.axis is None or units is None else units[0])
        x = arranged(written.x)
        if key not in self._met:
            site = Site(
                name=self._unused(base),
                kind=form.kind,
                form=as_written,
                module=self._names.path,
                units=key[-1],
                axis=arranged.axis,
                shape=tuple(x.shape[1:]),
                slope=slope,
                limits=form.limits,
                fed_by=origin.layer,
                source=line,
                **_judged(form, origin, arranged.axis, note),
            )
            self._met[key] = _Meeting(site, Evidence(site.units))
        met = self._met[key]
        if met is None:
            return key, None
        if form.threshold:
            x = x - form.threshold
        met.evidence.add(self._statistics(x, arranged.axis, form.limits))
        return key, arranged

    def _called(self, form: Form) -> tuple[str, str, str | None]:
        """Return the name of the site, the form it is written in and its line of code."""
        module, path = self._names.module, self._names.path
        if module is not None and (builtin := _activation(module)):
            return path or f"{form.call}()", f"nn.{builtin}", None
        if module is not None and path and not any(module.parameters()) and not any(module.children()):
            return path, form.form, names.source()
        return f"{path}.{form.call}()" if path else f"{form.call}()", form.form, names.source()

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


def _numbers(slope: float | Tensor | None) -> tuple[float | tuple[float, ...] | None, int]:
    """Return slopes as numbers, and how many there are."""
    if not isinstance(slope, Tensor):
        return slope, 1
    values = slope.detach().double().flatten().tolist()
    return (values[0], 1) if len(values) == 1 else (tuple(values), len(values))


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
