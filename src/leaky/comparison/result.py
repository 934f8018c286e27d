"""What a comparison returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from leaky.trials.record import Trial
from leaky.wording import counted, listing

Word = Literal["better", "worse", "no difference shown"]


@dataclass(frozen=True)
class Verdict:
    """What the trials say about one arm against the baseline, paired by seed.

    Differences are arm minus baseline, in the units of the metric (accuracy: 0 … 1), and positive is in the arm's favour.
    """

    activation: str
    baseline: str
    word: Word
    #: the verdict with its numbers, as a sentence for a person
    sentence: str
    #: where nothing was shown, what it would take to tell; else empty
    advice: str
    #: seeds on which both the arm and the baseline finished; the difference and its interval are over these
    pairs: int
    #: of the arm's own seeds, how many diverged
    diverged: int
    difference: float | None
    #: ends of the 95 % interval of the difference, for this arm alone
    low: float | None
    high: float | None
    #: p-value of this arm alone, and after Holm's correction for the number of arms
    p: float | None
    p_holm: float | None
    #: the seeds it would take to show the observed difference, where it was not shown and can be said
    seeds_needed: int | None


@dataclass(frozen=True, repr=False)
class Comparison:
    """Every arm trained on every seed, and what that shows; ``print`` shows the verdicts."""

    #: name of the task, its metric, and its recipe in words (``{"optimiser": "Adam(lr=0.001)", "epochs": "30", …}``)
    task: str
    metric: str
    recipe: dict[str, str]
    #: versions, machine, threads: what the numbers depend on besides the recipe
    environment: dict[str, str]
    #: how many training samples there are, on all of which a dead unit was silent
    samples: int
    baseline: str
    activations: tuple[str, ...]
    seeds: tuple[int, ...]
    #: ordered as the activations, then as the seeds
    trials: tuple[Trial, ...]
    #: one for each activation other than the baseline
    verdicts: tuple[Verdict, ...]

    def __str__(self) -> str:
        return "\n".join([self.headline, *(f"{v.sentence} {v.advice}".rstrip() for v in self.verdicts)])

    def __repr__(self) -> str:
        arms, seeds = counted(len(self.activations), "activation"), counted(len(self.seeds), "seed")
        return f"<leaky.Comparison on {self.task}: {arms}, {seeds}>"

    @cached_property
    def arms(self) -> dict[str, tuple[Trial, ...]]:
        """The trials of each activation, in the order of the seeds."""
        return {a: tuple(t for t in self.trials if t.activation == a) for a in self.activations}

    @property
    def firing_bound(self) -> float:
        """The share of inputs on which a unit called dead may still be active, at most, at 95 % confidence.

        Silent on all of n samples: 1 − 0.05^(1/n), about 3/n.
        """
        return float(1 - 0.05 ** (1 / self.samples))

    @property
    def headline(self) -> str:
        """The answer in a sentence or two: who is better than the baseline, who is worse, or that nothing was shown."""
        if not self.verdicts:
            return f"On {self.task}, only {self.baseline} was trained: there is nothing to compare it with."
        by_word: dict[Word, list[str]] = {"better": [], "worse": [], "no difference shown": []}
        for verdict in self.verdicts:
            by_word[verdict.word].append(verdict.activation)
        clauses = [
            f"{listing(names)} {'is' if len(names) == 1 else 'are'} {word} than {self.baseline}"
            for word, names in by_word.items()
            if names and word != "no difference shown"
        ]
        unshown = by_word["no difference shown"]
        if not clauses:
            return f"On {self.task}, no difference from {self.baseline} is shown for {listing(unshown)}."
        tail = f" No difference is shown for {listing(unshown)}." if unshown else ""
        return f"On {self.task}, {' and '.join(clauses)}.{tail}"

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain JSON types, with its headline, its firing bound and each trial's score."""
        data = asdict(self)
        for trial, entry in zip(self.trials, data["trials"], strict=True):
            entry["score"] = trial.score
        return {"headline": self.headline, "firing_bound": self.firing_bound, **data}
