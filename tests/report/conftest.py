from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from leaky.comparison.result import Comparison
from leaky.comparison.verdict import judge
from leaky.trials.record import Epoch, Trial

SEVEN = ("relu", "leaky_relu(0.01)", "leaky_relu(0.1)", "leaky_relu(0.2)", "prelu(0.25)", "sigmoid", "tanh")
#: how well each arm does in the end, and which share of its units is dead at birth
FATES = {
    "relu": (0.905, 0.10),
    "leaky_relu(0.01)": (0.912, 0.10),
    "leaky_relu(0.1)": (0.931, 0.06),
    "leaky_relu(0.2)": (0.938, 0.03),
    "prelu(0.25)": (0.935, 0.02),
    "sigmoid": (0.11, 0.0),
    "tanh": (0.915, 0.0),
}


def trial(activation: str, seed: int, *, epochs: int = 30, sites: int = 16, diverged: int | None = None) -> Trial:
    """Make up a trial that looks like one of a deep network trained on digits."""
    draw = random.Random(f"{activation} {seed}")
    goal, dead = FATES.get(activation, (0.92, 0.05))
    goal += draw.gauss(0, 0.012)
    units = tuple(64 for _ in range(sites))

    def epoch(at: int) -> Epoch:
        done = 1 - math.exp(-at / 6)
        score = 0.1 + (goal - 0.1) * done
        vanishing = {"sigmoid": -0.9, "tanh": -0.12, "relu": -0.05}.get(activation, 0.02)
        return Epoch(
            train_loss=2.3 * (1 - done * min(1.0, goal)) ** 1.6 + 0.004,
            train_score=score,
            test_loss=2.3 * (1 - done * min(1.0, goal)),
            test_score=score,
            dead=tuple(
                min(64, int(64 * dead * (1 + 2.5 * done * site / sites) * draw.random() * 2)) for site in range(sites)
            ),
            zeros=tuple(0.5 + 0.2 * done if activation == "relu" else 0.0 for _ in range(sites)),
            largest=tuple(2.5 + 0.5 * site * done for site in range(sites)),
            gradient=tuple(
                10 ** (vanishing * (sites - layer) * (1 - 0.4 * done) - 0.5 + draw.gauss(0, 0.05))
                for layer in range(sites + 1)
            ),
        )

    last = epochs if diverged is None else diverged - 1
    return Trial(
        activation=activation,
        seed=seed,
        diverged=diverged,
        epochs=tuple(epoch(at) for at in range(last + 1)),
        sites=tuple(f"hidden.{site}.activation" for site in range(sites)),
        units=units,
        layers=tuple(f"hidden.{layer}.weight" for layer in range(sites + 1)),
        seconds_per_step=0.00093,
    )


def comparison(
    activations: Sequence[str] = SEVEN,
    *,
    seeds: int = 10,
    epochs: int = 30,
    sites: int = 16,
    diverged: Sequence[tuple[str, int]] = (),
    task: str = "digits-deep",
    metric: str = "accuracy",
) -> Comparison:
    """Make up a comparison; ``diverged`` lists the (activation, seed) of trials that diverge in epoch 4."""
    trials = {
        a: [
            trial(a, seed, epochs=epochs, sites=sites, diverged=4 if (a, seed) in diverged else None)
            for seed in range(seeds)
        ]
        for a in activations
    }
    baseline = activations[0]
    return Comparison(
        samples=1347,
        task=task,
        metric=metric,
        recipe={"optimiser": "Adam(lr=0.001)", "epochs": str(epochs), "batch size": "64", "network": f"{sites} × 64"},
        environment={"leaky": "0.1.0", "torch": "2.13.0", "CPU": "an ordinary one", "threads": "1 per trial"},
        baseline=baseline,
        activations=tuple(activations),
        seeds=tuple(range(seeds)),
        trials=tuple(t for own in trials.values() for t in own),
        verdicts=judge({a: [t.score for t in own] for a, own in trials.items()}, baseline, metric),
    )


def changed(whole: Comparison, **fields: object) -> Comparison:
    """Change every epoch of every trial."""
    trials = tuple(replace(t, epochs=tuple(replace(e, **fields) for e in t.epochs)) for t in whole.trials)
    return replace(whole, trials=trials)


HOSTILE = (
    "<script>alert(1)</script>",
    "$x_$",
    "\"&'",
    "bell\x07 null\x00 \x1b[31mred",
    "\u202edesrever",
    "漢字 🎉",
    "[/x] [bold]y",
    "a" * 300,
)


def hostile() -> Comparison:
    """Put hostile text wherever text can come from user code."""
    whole = comparison(("relu", *HOSTILE), seeds=2, epochs=2, sites=len(HOSTILE), task=" ".join(HOSTILE))
    trials = tuple(replace(t, sites=HOSTILE, layers=(*HOSTILE, "")) for t in whole.trials)
    return replace(
        whole, trials=trials, recipe=dict.fromkeys(HOSTILE, HOSTILE[0]), environment={HOSTILE[0]: HOSTILE[2]}
    )


SHAPES: dict[str, Callable[[], Comparison]] = {
    "seven arms": lambda: comparison(diverged=[("relu", 3), ("relu", 7), ("tanh", 2)]),
    "one arm": lambda: comparison(["relu"], epochs=3),
    "one seed": lambda: comparison(seeds=1, epochs=3),
    "one epoch, one site": lambda: comparison(epochs=1, sites=1),
    "no site": lambda: comparison(epochs=2, sites=0, seeds=2),
    "twelve arms": lambda: comparison(["relu", *(f"leaky_relu({n / 50})" for n in range(1, 12))], seeds=3, epochs=5),
    "forty sites": lambda: comparison(sites=40, seeds=2, epochs=5),
    "all diverged": lambda: comparison(
        ["relu", "tanh"], seeds=2, diverged=[(a, s) for a in ("relu", "tanh") for s in (0, 1)]
    ),
    "baseline diverged": lambda: comparison(["relu", "tanh"], seeds=2, diverged=[("relu", 0), ("relu", 1)]),
    "nothing finite": lambda: changed(
        comparison(["relu", "tanh"], seeds=2, epochs=2, sites=2, diverged=[("relu", 0)]),
        **dict.fromkeys(("train_loss", "train_score", "test_loss", "test_score")),
        largest=(None, None),
        gradient=(None, None, None),
    ),
    "all zero": lambda: changed(
        comparison(["relu", "gelu"], seeds=2, epochs=2, sites=2),
        train_loss=0.0,
        test_score=0.0,
        gradient=(0.0, 0.0, 0.0),
    ),
    "regression": lambda: comparison(metric="r2", seeds=3, epochs=3),
    "hostile": hostile,
}


@pytest.fixture(scope="session", params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Comparison:
    """Return a comparison of each awkward shape in turn."""
    return SHAPES[request.param]()


@pytest.fixture(scope="session")
def seven() -> Comparison:
    return SHAPES["seven arms"]()


@pytest.fixture(scope="session")
def small() -> Comparison:
    return comparison(["relu", "tanh"], seeds=2, epochs=3, sites=2)


@pytest.fixture(scope="session")
def few() -> Comparison:
    return comparison(["relu", "tanh", "gelu"], seeds=2, epochs=2)


@pytest.fixture(scope="session", name="hostile")
def hostile_comparison() -> Comparison:
    return hostile()


@pytest.fixture(scope="session")
def hostile_names() -> tuple[str, ...]:
    return HOSTILE


VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Reads a page, and fails where elements do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


@pytest.fixture(scope="session")
def read() -> Callable[[str], Page]:
    return Page


@pytest.fixture(scope="session")
def sound() -> Callable[[str], Page]:
    """Read a page that must be sound: self-contained, without scripts, and with nothing odd in its text."""

    def reader(text: str) -> Page:
        page = Page(text)
        ids = page.all("id")
        assert len(ids) == len(set(ids))
        assert "script" not in page.tags
        for name in ("href", "src", "xlink:href", "action", "data"):
            assert all(value.startswith(("#", "data:")) for value in page.all(name))
        assert set(re.findall(r"url\((.)", text)) <= {"#"}
        assert "@import" not in text
        assert not any(name.startswith("on") for name, _ in page.attributes)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
        assert "nan" not in re.findall(r"\w+", page.text.lower().replace("nan or infinite", ""))
        assert "None" not in page.text
        for label in page.all("aria-labelledby"):
            assert label in ids
        return page

    return reader
