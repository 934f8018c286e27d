"""What a conversion returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from leaky.checkup.result import json_types
from leaky.wording import counted, plain


@dataclass(frozen=True)
class Change:
    """One site that is another activation now."""

    #: of the site, as a check names it; of calls that were not watched, such as ``fc.relu()``
    site: str
    #: path of the module that was replaced, or in whose forward the call is made; in ONNX the node
    module: str
    #: as it was written: ``nn.ReLU``, ``relu``, ``clamp(min=0)``, ``Relu``
    form: str
    #: the activations as :class:`leaky.Activation` writes them: ``relu``, ``leaky_relu(0.1)``
    before: str
    after: str
    #: what was changed: ``module``, ``attribute`` (a function held by a module), ``call`` (inside a forward), ``node``
    how: str
    #: the layer whose initial weights were multiplied, and by what, for the gain of the new activation
    rescaled: tuple[str, float] | None = None


@dataclass(frozen=True)
class Left:
    """One site, or what may be one, that stays as it was, and why."""

    site: str
    module: str
    form: str
    reason: str


@dataclass(frozen=True)
class Drift:
    """How far the outputs moved by a conversion, on the data given."""

    samples: int
    #: of the absolute differences between outputs
    largest: float
    mean: float
    #: mean absolute output before, to hold these against
    scale: float
    #: share of samples, or of their positions, on which the largest output is the same one; None for outputs that are no
    #: scores of classes
    agreement: float | None
    #: which output was compared, such as ``logits`` or ``0``, if the network has several
    output: str = ""


@dataclass(frozen=True, repr=False)
class Conversion:
    """A converted network, and an account of what was changed and what was not; ``print`` shows a table."""

    model: Any
    changes: tuple[Change, ...]
    left: tuple[Left, ...] = ()
    notes: tuple[str, ...] = ()
    #: with data given: of the outputs, as converted
    drift: Drift | None = None
    #: and after the statistics of BatchNorm were taken anew, if asked
    recalibrated: Drift | None = None

    @property
    def headline(self) -> str:
        """The result in a sentence."""
        return f"{counted(len(self.changes), 'site')} converted, {len(self.left)} left."

    def __repr__(self) -> str:
        rows = [(c.site, c.form, f"{c.before} → {c.after}") for c in self.changes]
        rows += [(kept.site, kept.form, f"left: {kept.reason}") for kept in self.left]
        width = min(max((len(plain(row[0])) for row in rows), default=0), 44)
        return "\n".join([self.headline, *(f"{plain(a):{width}} {plain(b):16} {plain(c)}" for a, b, c in rows)])

    def to_dict(self) -> dict[str, Any]:
        """Return all but the network as plain JSON types, no NaN or infinity among them: those become None."""
        parts = {
            "headline": self.headline,
            "changes": [asdict(change) for change in self.changes],
            "left": [asdict(kept) for kept in self.left],
            "notes": list(self.notes),
            "drift": self.drift and asdict(self.drift),
            "recalibrated": self.recalibrated and asdict(self.recalibrated),
        }
        plain_types: dict[str, Any] = json_types(parts)
        return plain_types
