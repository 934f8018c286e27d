"""Dead units, and slopes that are raised, in a training by the Trainer of Hugging Face's transformers."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from transformers import TrainerCallback

from leaky.torch.monitor import Monitor, world
from leaky.torch.slope_schedule import SlopeSchedule


class TransformersMonitor(TrainerCallback):  # type: ignore[misc]  # transformers need not be installed
    """Follows the dead units of a model in training: ``Trainer(callbacks=[TransformersMonitor()])``.

    A window is an epoch. Several processes count together. A callback is not told when a training fails: the model's
    calls are followed on until the next training begins, or the callback is gone.

    Args:
        every: look at one forward pass in so many.
        steps: end a window after so many steps of the optimiser instead; the last one, which may be shorter, when the
            training ends.

    Raises:
        ValueError: when a training starts whose arguments ask for ``torch_compile``: what the Trainer compiles, a
            callback does not get to see. A model that is compiled before it is handed to the Trainer can be followed.
    """

    def __init__(self, *, every: int = 1, steps: int | None = None) -> None:
        self._every, self._steps = every, steps
        self._training = ExitStack()
        self._since = 0  # steps, since the last window ended
        #: what was found, from the start of the training on
        self.monitor: Monitor | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin anew."""
        if args.torch_compile:
            raise ValueError("torch_compile: True; expected False, for the forward passes cannot be followed then")
        self._training.close()
        self.monitor = self._training.enter_context(Monitor(kwargs["model"], every=self._every, group=world()))
        self._since = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End a window of so many steps."""
        self._since += 1
        if self._since == self._steps:
            self._end_window()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the window that is an epoch."""
        if self._steps is None:
            self._end_window()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the window of the steps that are left over, and leave nothing behind."""
        if self._steps is not None and self._since:
            self._end_window()
        self._training.close()

    def __del__(self) -> None:
        """Leave nothing behind, of a training that has failed."""
        self._training.close()

    def _end_window(self) -> None:
        if self.monitor is not None:
            self.monitor.end_window()
            self._since = 0


class TransformersSlopeSchedule(TrainerCallback):  # type: ignore[misc]  # transformers need not be installed
    """Raises the slopes of a model in training: ``Trainer(callbacks=[TransformersSlopeSchedule(to=0.1, steps=1000)])``.

    Steps are those of the optimiser, as the trainer counts them, so that a training that is resumed goes on rightly.

    Args:
        settings: those of :class:`leaky.torch.SlopeSchedule`.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        #: from the start of the training on
        self.schedule: SlopeSchedule | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin anew, or where a training that is resumed was."""
        self.schedule = SlopeSchedule(kwargs["model"], **self._settings)
        self.schedule.step(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Raise the slopes."""
        if self.schedule is not None:
            self.schedule.step(state.global_step)
