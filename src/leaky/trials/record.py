"""What a trial leaves behind: plain frozen dataclasses, and their JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """The state of a network at the end of an epoch, measured in evaluation mode; epoch 0 is the network at birth.

    Every number is over the whole training set unless it says otherwise. A number that is not finite is ``None``.
    """

    train_loss: float | None
    train_score: float | None
    test_loss: float | None
    test_score: float | None
    #: per site: units whose pre-activation was > 0 on no sample of the training set
    dead: tuple[int, ...]
    #: per site: share of outputs that are exactly 0
    zeros: tuple[float, ...]
    #: per site: largest absolute output
    largest: tuple[float | None, ...]
    #: per weight layer, in order of depth: Euclidean norm of the gradient of the training loss by the layer's weight
    gradient: tuple[float | None, ...]

    @property
    def gradient_ratio(self) -> float | None:
        """Gradient norm of the first weight layer over that of the last: ≪ 1 vanishing, ≫ 1 exploding."""
        if not self.gradient or self.gradient[0] is None or not self.gradient[-1]:
            return None
        return self.gradient[0] / self.gradient[-1]


@dataclass(frozen=True)
class Trial:
    """One training run of a task with one activation and one seed."""

    activation: str
    seed: int
    #: the epoch (from 1) in which a loss, a gradient or an activation turned NaN or infinite; ``None`` if none did
    diverged: int | None
    #: ``epochs[0]`` is at birth, ``epochs[e]`` after epoch ``e``; those of a diverged trial end where it did
    epochs: tuple[Epoch, ...]
    #: names of the activation sites in order of the forward pass, and how many units each has
    sites: tuple[str, ...]
    units: tuple[int, ...]
    #: names of the weight layers in order of depth
    layers: tuple[str, ...]
    #: median seconds of a training step (forward, backward, update), of a cohort's its share; timing is the one part
    #: that does not repeat
    seconds_per_step: float
    #: the epoch after which the training was given up as hopeless; ``None`` if it was not
    stopped: int | None = None
    #: of PReLU: the slope learned at each site, mean over its channels
    slopes: tuple[float, ...] = ()

    @property
    def score(self) -> float | None:
        """The metric on the test set after the last epoch that was trained; ``None`` if the trial diverged."""
        return None if self.diverged is not None else self.epochs[-1].test_score

    def to_dict(self) -> dict[str, Any]:
        """Return the trial as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Trial:
        """Return the trial that ``to_dict`` (perhaps by way of JSON) was made from."""
        epochs = tuple(Epoch(**{k: _tuple(v) for k, v in epoch.items()}) for epoch in data["epochs"])
        return cls(**{k: _tuple(v) for k, v in data.items() if k != "epochs"}, epochs=epochs)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def finite(value: float) -> float | None:
    """Return the value, or ``None`` where it is NaN or infinite (JSON has neither)."""
    return value if math.isfinite(value) else None
