"""Dead units while a network trains: watched in its own forward passes, window by window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import TracebackType
from typing import Any, Self

from torch import distributed, nn

from leaky.evidence import Site
from leaky.torch.calls import around_calls
from leaky.torch.watch import Watch, unwrapped
from leaky.torch.windows import Bools, Event, Tally, Window, Windows
from leaky.wording import plain


class Monitor:
    """Follows which units of a network are dead while it trains, and when they die and revive.

    A unit is dead in a window, an epoch perhaps, if its pre-activation was above 0 on none of the window's samples::

        with Monitor(model) as monitor:
            for epoch in range(10):
                for x, y in batches:
                    ...  # train as ever
                monitor.end_window()
                print(monitor)

    It looks at forward passes in training mode, at the first of each window and every so many after it. Training is not
    disturbed: weights and random numbers are the same, bit for bit, as without it. The one exception are compiled
    models, which run uncompiled while they are looked at: that rounds, and draws random numbers, in another way. In
    between, and in backward passes and the optimiser's step, nothing is watched and next to nothing is spent.

    Under DistributedDataParallel the samples of all ranks count. Each rank needs its monitor, and all must end their
    windows together; how many batches each has had does not matter.

    Args:
        model: the network, as it is called in training: if it is compiled or DistributedDataParallel, the result of that.
            What is done to it in place, as by its own ``compile()``, is done before.
        every: look at one in so many forward passes.
        window: samples, of those looked at, after which a window ends by itself; None if only ``end_window`` ends it.
        group: the torch.distributed group of processes whose samples count together; by default that of a model in
            DistributedDataParallel, and else none.

    Raises:
        TypeError: ``model`` is no torch.nn.Module.
        ValueError: ``every`` or ``window`` is no whole number of at least 1, or ``window`` is given with a group, whose
            ranks would not end their windows together.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        every: int = 1,
        window: int | None = None,
        group: distributed.ProcessGroup | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model: {type(model).__name__}; expected a torch.nn.Module")
        self.every = _whole("every", every)
        self.window = None if window is None else _whole("window", window)
        self._group = _group_of(model) if group is None else group
        if self.window is not None and self._group is not None:
            raise ValueError(f"window: {window} with several processes; expected None, and end_window() on all of them")
        self._model, self._root = model, unwrapped(model)
        self._watch = Watch(model)
        self._windows = Windows()
        self._calls = ExitStack()
        self._inside = False
        self._passes = self._batches = 0

    def __enter__(self) -> Self:
        self._calls.enter_context(around_calls(self._model, self._pass))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calls.close()

    @property
    def sites(self) -> dict[str, Site]:
        """The activation sites whose units are followed, by name, in the order in which they were met."""
        return self._windows.sites

    @property
    def dead(self) -> dict[str, Bools]:
        """By site: which units were dead in the last window in which the site was met; bool, shape (units,)."""
        return self._windows.dead

    @property
    def history(self) -> list[Window]:
        """The windows that have ended."""
        return self._windows.history

    @property
    def events(self) -> list[Event]:
        """All deaths and revivals, in the order of the windows. Units dead in a site's first window are none."""
        return [event for window in self.history for event in window.events()]

    @property
    def notes(self) -> list[str]:
        """What could not be seen, and why."""
        notes = list(self._watch.notes)
        if any(not window.seen for window in self.history):
            notes.append("there were windows in which no activation was met whose units can die")
        return notes

    def end_window(self) -> Window:
        """End the window, and return what was seen in it; with several processes, on all of them at the same time.

        Raises:
            RuntimeError: the model was not called in training mode since the last window ended.
        """
        tally = _sum(Tally.of(self._passes, self._batches, self._watch.restart()), self._group)
        self._passes = self._batches = 0
        if not tally.passes:
            raise RuntimeError(
                "model: it was not called in training mode in this window; expected the network as the training calls it "
                "(what torch.compile returns, not what it was given; compiled in place before, not after, the monitor begins)"
            )
        return self._windows.end(tally)

    @contextmanager
    def batch(self, inputs: Any = None) -> Iterator[None]:
        """Take what runs within for one forward pass, for models that are not called, or not where it can be noticed.

        Args:
            inputs: the batch, of which the first tensor has the samples on axis 0; the model's parts, or its ``forward``,
                may then be called one by one. None: the model is called, but was compiled in place, by its own
                ``compile()``, since the monitor began.
        """
        with self._pass(inputs):
            yield

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON types.

        ``dead`` holds the units that were so in the last window in which their site was met, whose number is with the
        site as ``window``.
        """
        return {
            "every": self.every,
            "sites": [
                {
                    "name": s.name,
                    "kind": s.kind,
                    "form": s.form,
                    "units": s.units,
                    "fed_by": s.fed_by,
                    "source": s.source,
                    "window": max(window.number for window in self.history if s.name in window.seen),
                }
                for s in self.sites.values()
            ],
            "dead": {name: dead.nonzero()[0].tolist() for name, dead in self.dead.items()},
            "windows": [window.to_dict() for window in self.history],
            "notes": self.notes,
        }

    def __repr__(self) -> str:
        name = f"leaky.torch.Monitor of {plain(type(self._root).__name__)}"
        if not self.history:
            return f"<{name}: no window has ended>"
        return "\n".join([f"{name}: {self._windows.headline()}", *self._windows.table()])

    @contextmanager
    def _pass(self, inputs: Any = None) -> Iterator[None]:
        """Look at the forward pass that runs within, if it is its turn."""
        if self._inside:  # a part of another: a model may call itself
            yield
            return
        self._inside = True
        try:
            due = self._is_due()
            with self._watch.watching() if due else nullcontext():
                if due and inputs is not None:
                    self._watch.begin(inputs)
                yield
        finally:
            self._inside = False
            self._batches += due
        if due and self.window is not None and self._samples() >= self.window:
            self.end_window()

    def _is_due(self) -> bool:
        """Count a forward pass in training mode, and say whether to look at it."""
        if not self._root.training:
            return False
        self._passes += 1
        return (self._passes - 1) % self.every == 0

    def _samples(self) -> int:
        return max((evidence.samples for _, evidence in self._watch.sites.values()), default=0)


def _whole(name: str, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}: {value!r}; expected a whole number of at least 1")
    return value


def _group_of(model: nn.Module) -> distributed.ProcessGroup | None:
    """Return the processes that a model shares its training with, if it is in DistributedDataParallel."""
    for module in model.modules():
        if isinstance(module, nn.parallel.DistributedDataParallel):
            group: distributed.ProcessGroup = module.process_group
            return group
    return None


def world() -> distributed.ProcessGroup | None:
    """Return the group of all processes, if there are several."""
    if not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1:
        return None
    return distributed.group.WORLD


def _sum(tally: Tally, group: distributed.ProcessGroup | None) -> Tally:
    """Return the sum of all ranks' tallies. They are sent whole, for ranks may have met different sites, or none."""
    if group is None:
        return tally
    parts: list[Any] = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(parts, tally, group)
    total = Tally()
    for part in parts:
        total.add(part)
    return total
