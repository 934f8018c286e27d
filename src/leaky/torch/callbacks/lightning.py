"""Dead units, and slopes that are raised, in a training by Lightning."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

from leaky.torch.monitor import Monitor, world
from leaky.torch.slope_schedule import SlopeSchedule

# The same library goes by two names, whose classes do not know each other: the caller's is taken.
if "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules:
    from pytorch_lightning import Callback
else:
    from lightning.pytorch import Callback


class LightningMonitor(Callback):  # type: ignore[misc]  # Lightning need not be installed
    """Follows the dead units of a LightningModule: ``Trainer(callbacks=[LightningMonitor()])``.

    What runs from the start of a batch to the first backward pass is one forward pass of the module. A window is an
    epoch of training; at its end the number of dead units is logged as ``dead_units``. Several processes count together.

    Args:
        every: look at one batch in so many.
        steps: end a window after so many batches instead; the last one, which may be shorter, when the training ends.
    """

    def __init__(self, *, every: int = 1, steps: int | None = None) -> None:
        self._every, self._steps = every, steps
        self._batch = ExitStack()
        self._since = 0  # batches, since the last window ended
        #: what was found, from the start of the training on
        self.monitor: Monitor | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin anew."""
        self.monitor, self._since = Monitor(pl_module, every=self._every, group=world()), 0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Look at what runs from now on, if it is the batch's turn."""
        if self.monitor is not None:
            self._batch.enter_context(self.monitor.batch(batch))

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        """Look no further."""
        self._batch.close()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Look no further, where there was no backward pass; end a window of so many batches."""
        self._batch.close()
        self._since += 1
        if self._since == self._steps:
            self._end_window(pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """End the window that is an epoch."""
        if self._steps is None:
            self._end_window(pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """End the window of the batches that are left over."""
        if self._steps is not None and self._since and self.monitor is not None:
            self.monitor.end_window()  # nothing can be logged any more

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Leave nothing behind."""
        self._batch.close()

    def _end_window(self, pl_module: Any) -> None:
        if self.monitor is not None:
            window, self._since = self.monitor.end_window(), 0
            pl_module.log("dead_units", float(sum(window.dead.values())), rank_zero_only=True)


class LightningSlopeSchedule(Callback):  # type: ignore[misc]  # Lightning need not be installed
    """Raises the slopes of a LightningModule: ``Trainer(callbacks=[LightningSlopeSchedule(to=0.1, steps=1000)])``.

    Steps are those of the optimiser, as the trainer counts them, so that a training that is resumed goes on rightly.

    Args:
        settings: those of :class:`leaky.torch.SlopeSchedule`.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        #: from the start of the training on
        self.schedule: SlopeSchedule | None = None

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin anew."""
        self.schedule = SlopeSchedule(pl_module, **self._settings)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Go to where a training that is resumed was."""
        self._follow(trainer)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Raise the slopes, if the optimiser has made a step."""
        self._follow(trainer)

    def _follow(self, trainer: Any) -> None:
        if self.schedule is not None:
            self.schedule.step(trainer.global_step)
