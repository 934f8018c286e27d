"""Watching a model: each operation of its forward passes is looked at, before it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from leaky.evidence import Evidence, Site
from leaky.torch.watch import flow, names
from leaky.torch.watch.forms import FORMS, Arguments, Form
from leaky.torch.watch.gradients import Gradients
from leaky.torch.watch.names import Names, unwrapped
from leaky.torch.watch.origin import UNKNOWN, Call, Origins, Rule
from leaky.torch.watch.sites import Meeting, Sites
from leaky.torch.watch.statistics import Statistics, statistics
from leaky.torch.watch.switches import revealed
from leaky.torch.watch.written import MARKS, WRITTEN, Written
from leaky.user_code import one_line


class _Opened(threading.local):
    """What is being watched in a thread, the latest last."""

    def __init__(self) -> None:
        self.stacks: list[ExitStack] = []


_opened = _Opened()


@contextmanager
def watch(model: nn.Module, *, gradients: bool = False, statistics: Statistics = statistics) -> Iterator[Watch]:
    """Watch the forward passes of a model, in this thread, for its activation sites and their evidence.

    Each call of the model is one batch, whose samples lie on axis 0 of its inputs: as many as most of them are long,
    those of length 1 aside. Nothing is left behind when
    the context is left, however it is; the model's state is not looked after: see :func:`undisturbed`.

    Args:
        model: as it is called, or within torch.compile, DataParallel or DistributedDataParallel.
        gradients: take in the gradients, too, that backward passes bring to the outputs of the sites.
        statistics: what is taken in of pre-activations: another function in place of the customary one.
    """
    seen = Watch(model, gradients=gradients, statistics=statistics)
    with seen.watching():
        yield seen


@dataclass(eq=False, frozen=True, slots=True)
class _Plan:
    """What is to be done about an operation, worked out when it is first met."""

    arguments: tuple[str, ...]
    form: Callable[[Arguments], Form | None] | None
    written: Callable[[Call], Written | None] | None
    mark: Callable[[Call, Any], Any] | None
    rule: Rule
    view: bool
    #: whether it is only a name for other operations, which inference mode does not take apart
    composite: bool


class Watch(TorchDispatchMode):
    """What has been seen of a model's activation sites, in one stretch of :meth:`watching` or several.

    Args:
        model: see :func:`watch`.
        gradients: see :func:`watch`.
        statistics: see :func:`watch`.
        inputs: called with each site and its pre-activation, before it runs.
        outputs: called with each call at a site and what it has just put out.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # what keeps TorchDynamo out imports it first; here nothing is compiled anyhow

    def __init__(
        self,
        model: nn.Module,
        *,
        gradients: bool = False,
        inputs: Callable[[Site, Tensor], None] | None = None,
        outputs: Callable[[Meeting, Tensor], None] | None = None,
        statistics: Statistics = statistics,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch's is untyped
        root = unwrapped(model)
        #: what could not be seen, and why
        self.notes: list[str] = []
        self._names = Names(root, self._begin, self._end)
        parameters = root.named_parameters(remove_duplicate=False)
        self._origins = Origins({names.cleaned(path): parameter for path, parameter in parameters})
        self._sites = Sites(self._names, statistics)
        self._gradients = Gradients() if gradients else None
        self._inputs, self._outputs = inputs, outputs
        self._plans: dict[Any, _Plan] = {}
        self._model, self._root = model, root
        self._note_what_hides(model)

    @property
    def sites(self) -> dict[str, tuple[Site, Evidence]]:
        """The sites met since the last restart, by their names, in the order in which they were first met."""
        return self._sites.found()

    @property
    def path(self) -> str:
        """Path of the module whose forward runs."""
        return self._names.path

    def restart(self) -> dict[str, tuple[Site, Evidence]]:
        """Return the sites that were met since the last restart, as they were when met first, and begin all anew but names."""
        return self._sites.restart()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the forward passes of the model that run within; what began later in this thread ends with it."""
        stack, opened = ExitStack(), _opened.stacks
        opened.append(stack)
        try:
            stack.enter_context(revealed(self._model))
            stack.enter_context(self._names.following())
            stack.enter_context(self)
            yield
        finally:
            while stack in opened:  # modes end in the reverse order, and callbacks in the order in which they began
                opened.pop().close()

    def begin(self, inputs: Any) -> None:
        """Take what runs from now on for a forward pass on these inputs, within :meth:`watching`, until :meth:`end`."""
        self._names.enter(self._root, inputs)

    def end(self) -> None:
        """Say that the forward pass that :meth:`begin` told of is over."""
        self._names.leave(self._root)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and look at it if it belongs to a forward pass of the model."""
        kwargs = kwargs or {}
        if not self._names.inside or torch._C._current_graph_task_id() != -1:  # -1: no backward pass is running
            return func(*args, **kwargs)
        plan = self._plans.get(func) or self._planned(func)
        if plan.composite and not any(isinstance(each, Tensor) and each.is_nested for each in args):
            with self:
                return func.decompose(*args, **kwargs)
        if self._gradients:
            self._gradients.ask()
        given = dict(zip(plan.arguments, args))  # noqa: B905 - to say so takes twice the time
        if kwargs:
            given.update(kwargs)
        origins = self._origins
        origins.here = self._names.path
        call = met = x = mark = None
        try:
            call = origins.call(given)
            if plan.form or plan.written:
                met, x = self._look(plan, call)
            mark = plan.mark and plan.mark(call, met and met.key)
        except Exception as error:  # noqa: BLE001 - whatever we do wrong must not end the run that we look at
            self._note_failure(func, error)
        if met is not None and x is not None and self._inputs:
            self._inputs(met.site, x)
        out = func(*args, **kwargs)
        try:
            origins.follow(plan, call, out)
            if mark is not None:
                origins.mark(out, mark)
        except Exception as error:  # noqa: BLE001 - the same
            origins.follow(plan, None, out)
            self._note_failure(func, error)
        if met is not None and self._gradients:
            self._gradients.want(out, out is next(iter(given.values())), met.layout, met.evidence)
        if met is not None and self._outputs:
            self._outputs(met, out)
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
            # What asks for the sizes of a tensor by a class of its own looks like an operation, and is none.
            composite = torch._C._dispatch_has_kernel(func.name()) and func._can_decompose()
            written, mark = WRITTEN.get(name), MARKS.get(name)
            plan = _Plan(arguments, FORMS.get(name), written, mark, rule, func.is_view or rule is flow.same, composite)
        else:
            plan = _Plan(arguments, None, None, None, flow.opaque, False, False)
            if not space.startswith(("prim", "profiler", "c10d", "_c10d")):
                self._note(f"{self._here}: what {space}::{name} does inside is not seen")
        self._plans[func] = plan
        return plan

    def _look(self, plan: _Plan, call: Call) -> tuple[Meeting | None, Tensor | None]:
        """Take in the evidence, if the operation is a site; return its pre-activation, too."""
        form = plan.form and plan.form(call.given)
        if form is not None:
            name, x = next(iter(call.given.items()))
            written: Written | None = Written(x, call[name] or UNKNOWN, form)
        else:
            written = plan.written and plan.written(call)
        if written is None:
            return None, None
        x = written.x
        if not x.is_floating_point() or not x.numel() or isinstance(self._names.module, nn.RNNBase):
            return None, None
        if x.layout != torch.strided or x.is_nested:
            self._note(f"{self._here}: {written.form.form} of a tensor that is not dense is not seen")
            return None, None
        return self._sites.meet(written), x

    def _begin(self, inputs: Any) -> None:
        samples = 1
        try:
            samples = self._origins.begin(inputs)
        except Exception as error:  # noqa: BLE001 - inputs may be of any kind
            self._note(f"the inputs could not be looked at ({one_line(error)}): each batch is taken for one sample")
        self._sites.begin(samples)
        if self._gradients:
            self._gradients.begin()

    def _end(self) -> None:
        if self._gradients:
            self._gradients.ask()

    def backward(self, loss: Tensor) -> None:
        """Have the gradients of a loss taken in; unlike ``loss.backward()``, this leaves the parameters' own alone."""
        wanted = [parameter for parameter in self._root.parameters() if parameter.requires_grad]
        if not wanted or not loss.requires_grad:
            return
        try:
            torch.autograd.grad(loss, wanted, allow_unused=True)
        except RuntimeError as error:
            if "checkpoint" not in str(error).lower():
                raise
            self._note("gradients are not seen beyond torch.utils.checkpoint with use_reentrant=True")

    def _note_failure(self, func: Any, error: Exception) -> None:
        self._note(f"{self._here}: {func} could not be looked at ({one_line(error)}): what comes of it is unknown")

    @property
    def _here(self) -> str:
        return self._names.path or "the model"

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _note_what_hides(self, model: nn.Module) -> None:
        if isinstance(model, nn.DataParallel) and len(model.device_ids) > 1:
            self._note("DataParallel runs copies of the model in threads of their own, which are not seen")
        scripted: list[str] = []
        for path, module in self._root.named_modules():
            name = names.cleaned(path) or "the model"
            if isinstance(module, torch.jit.ScriptModule):
                if not any(path.startswith(f"{other}.") or not other for other in scripted):
                    scripted.append(path)
                    self._note(f"{name}: TorchScript keeps the names of its modules to itself")
            elif isinstance(module, nn.RNNBase):
                kind = type(module).__name__
                self._note(f"{name}: nn.{kind} does its steps in one call: its units are not seen")
