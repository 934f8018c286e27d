"""What the monitor finds, window by window, and how it tells it."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky.torch import Monitor
from leaky.torch.windows import Event


class Planted(nn.Module):
    """A network whose units fire on the samples that say so: unit u of layer s where the sample's number there is > 0."""

    def __init__(self, layers: int = 2, units: int = 5) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(units, units, bias=False) for _ in range(layers))
        for layer in self.layers:
            nn.init.eye_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([layer(part).clamp(min=0) for layer, part in zip(self.layers, x.unbind(1), strict=True)])


def planted(alive: np.ndarray, batches: int = 3, size: int = 4) -> list[Tensor]:
    """Return batches for a window in which just these units, (layers, units), fire: each on one sample of one batch."""
    rng = np.random.default_rng(0)
    x = -rng.uniform(0, 1, (batches * size, *alive.shape)).astype(np.float32)
    for layer, unit in np.argwhere(alive):
        x[rng.integers(len(x)), layer, unit] = 1e-30
    return list(torch.from_numpy(x).split(size))


@pytest.mark.parametrize("seed", range(5))
def test_planted_deaths_and_revivals_are_found_in_their_windows(seed: int) -> None:
    alive = np.random.default_rng(seed).random((8, 2, 5)) < 0.5
    names = ["clamp()", "clamp()[1]"]
    with Monitor(Planted()) as monitor:
        for number, now in enumerate(alive, 1):
            for batch in planted(now):
                monitor._model(batch)
            window = monitor.end_window()
            assert window.number == number
            assert (window.batches, window.samples) == (3, 12)
            assert window.dead == dict(zip(names, (~now).sum(1), strict=True))
            assert all((monitor.dead[name] == ~of).all() for name, of in zip(names, now, strict=True))
    expected = [
        Event(window, name, unit, kind)
        for window in range(2, 9)
        for kind, change in (("death", -1), ("revival", 1))
        for name, of in zip(names, alive[window - 1].astype(int) - alive[window - 2], strict=True)
        for unit in np.flatnonzero(of == change).tolist()
    ]
    assert monitor.events == expected
    assert len(expected) > 20


def test_the_channels_of_convolutions_and_the_units_behind_flattening() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2), nn.ReLU())
    with torch.no_grad():
        model[0].weight.fill_(1)
        model[0].bias.copy_(torch.tensor([0.0, -2.0, -0.5]))
    x = torch.zeros(4, 1, 2, 2)
    x[3, 0, 1, 0] = 1.0  # one position of one sample
    with Monitor(model) as monitor:
        model(x)
        monitor.end_window()
    assert monitor.dead["1"].tolist() == [False, True, False]
    assert [(site.name, site.units, site.fed_by) for site in monitor.sites.values()] == [("1", 3, "0"), ("4", 2, "3")]


def test_a_site_that_is_met_late_or_not_in_each_window() -> None:
    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(1, 1), nn.Linear(1, 1)
            self.use_other = False

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.other(x)) if self.use_other else F.leaky_relu(self.one(x))

    model = Sometimes()
    with Monitor(model) as monitor:
        for use_other, bias in ((False, 1.0), (True, -1.0), (False, -1.0), (True, 1.0)):
            model.use_other = use_other
            nn.init.constant_(model.one.bias, bias)
            nn.init.constant_(model.other.bias, bias)
            model(torch.zeros(2, 1))
            assert list(monitor.end_window().dead) == ["relu()" if use_other else "leaky_relu()"]
    # Dead when first met is no death.
    assert monitor.events == [Event(3, "leaky_relu()", 0, "death"), Event(4, "relu()", 0, "revival")]


def test_what_cannot_die_is_not_followed() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2), nn.ReLU6())
    with Monitor(model) as monitor:
        model(torch.zeros(2, 2))
        monitor.end_window()
    assert list(monitor.sites) == ["5"]


def test_it_looks_at_the_first_pass_of_a_window_and_every_so_many_after() -> None:
    model = nn.Sequential(nn.Linear(1, 7, bias=False), nn.ReLU())
    with Monitor(model, every=3) as monitor:
        for _ in range(2):
            for number in range(7):
                nn.init.constant_(model[0].weight, -1)
                model[0].weight.data[number] = 1
                model(torch.ones(2, 1))
            assert monitor.end_window().batches == 3
            assert monitor.dead["1"].tolist() == [False, True, True, False, True, True, False]


def test_only_passes_in_training_mode_count() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU())
    nn.init.ones_(model[0].weight)
    with Monitor(model) as monitor:
        model(-torch.ones(2, 1))
        model.eval()
        model(torch.ones(2, 1))
        model.train()
        assert monitor.end_window().dead == {"1": 1}


def test_windows_of_so_many_samples_end_by_themselves() -> None:
    model = Planted(1, 2)
    alive = [[[True, True]], [[False, True]], [[True, False]]]
    with Monitor(model, window=12) as monitor:
        for now in alive:
            for batch in planted(np.array(now)):
                model(batch)
    assert [window.samples for window in monitor.history] == [12, 12, 12]
    assert [event[:1] + event[2:] for event in monitor.events] == [(2, 0, "death"), (3, 1, "death"), (3, 0, "revival")]


def test_it_is_told_in_a_few_lines() -> None:
    model = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2), nn.ReLU())
    with Monitor(model) as monitor:
        assert repr(monitor) == "<leaky.torch.Monitor of Sequential: no window has ended>"
        for biases in ([1.0, 1, 1, 1], [-1.0, -1, -1, 1], [-1.0, -1, 1, 1]):
            with torch.no_grad():
                model[0].weight.zero_()
                model[0].bias.copy_(torch.tensor(biases))
                model[2].weight.zero_()
                model[2].bias.fill_(1)
            model(torch.ones(100, 1))
            monitor.end_window()
    headline, *table = repr(monitor).splitlines()
    assert headline == (
        "leaky.torch.Monitor of Sequential: in window 3, 2 of 6 units dead on all of 100 samples "
        "(at 95 % confidence each is active on at most 3 % of inputs)"
    )
    assert table == [
        "site   units samples    dead  deaths revivals",
        "1          4     100       2       3        1",
        "3          2     100       0       0        0",
    ]
    assert monitor.history[0].bound == pytest.approx(1 - 0.05**0.01)
    told = json.loads(json.dumps(monitor.to_dict(), allow_nan=False))
    assert told["dead"] == {"1": [0, 1], "3": []}
    assert [(w["dead"], w["died"], w["revived"]) for w in told["windows"]] == [
        ({"1": 0, "3": 0}, {}, {}),
        ({"1": 3, "3": 0}, {"1": [0, 1, 2]}, {}),
        ({"1": 2, "3": 0}, {}, {"1": [2]}),
    ]


class WithAuxiliary(nn.Module):
    """A network with a branch for the first of the samples, when it is asked for: dead from the start."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.other = nn.Linear(1, 4), nn.Linear(1, 4)
        nn.init.constant_(self.other.bias, -100)

    def forward(self, x: Tensor, auxiliary: bool = False) -> Tensor:
        return F.relu(self.main(x)) + (F.leaky_relu(self.other(x[:1])) if auxiliary else 0)


def test_nothing_is_claimed_of_sites_that_were_not_met() -> None:
    model = WithAuxiliary()
    nn.init.constant_(model.main.bias, 100)
    with Monitor(model) as monitor:
        model(torch.zeros(5, 1), auxiliary=True)
        monitor.end_window()
        assert monitor.history[0].bound == pytest.approx(0.95)
        headline, *table = repr(monitor).splitlines()
        assert headline == (
            "leaky.torch.Monitor of WithAuxiliary: in window 1, 4 of 8 units dead on all of the 1 to 5 samples that each "
            "has seen (at 95 % confidence each is active on at most 95 % of inputs)"
        )
        assert table[1:] == [
            "leaky_relu()       4       1       4       0        0",
            "relu()             4       5       0       0        0",
        ]
        model(torch.zeros(1000, 1))
        monitor.end_window()
    headline, *table = repr(monitor).splitlines()
    assert headline == "leaky.torch.Monitor of WithAuxiliary: in window 2, 0 of 4 units dead on all of 1,000 samples"
    assert table == [
        "site           units samples    dead  deaths revivals",
        "relu()             4    1000       0       0        0",
        "leaky_relu()       4       0       –       0        0",
    ]
    told = monitor.to_dict()
    assert [(site["name"], site["window"]) for site in told["sites"]] == [("relu()", 2), ("leaky_relu()", 1)]
    assert told["dead"] == {"relu()": [], "leaky_relu()": [0, 1, 2, 3]}


def test_windows_in_which_nothing_was_met_say_so() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Tanh())
    with Monitor(model) as monitor:
        model(torch.zeros(5, 1))
        assert monitor.end_window().bound == 1
    assert repr(monitor) == "leaky.torch.Monitor of Sequential: in window 1, no activation was met whose units can die"
    assert monitor.notes == ["there were windows in which no activation was met whose units can die"]


def test_windows_without_events_take_no_memory_by_the_unit() -> None:
    model = nn.Sequential(nn.Linear(1, 10_000), nn.ReLU())
    sizes = []
    with Monitor(model) as monitor:
        for _ in range(20):
            model(torch.ones(1, 1))
            monitor.end_window()
            sizes.append(len(pickle.dumps(monitor.history)))
    assert sizes[-1] < 5_000


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"model": 3}, TypeError, "model: int; expected a torch.nn.Module"),
        ({"every": 0}, ValueError, "every: 0; expected a whole number of at least 1"),
        ({"every": True}, ValueError, "every: True; expected a whole number of at least 1"),
        ({"window": 2.5}, ValueError, "window: 2.5; expected a whole number of at least 1"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{text}$"):
        Monitor(**{"model": nn.ReLU(), **arguments})


def test_the_function_alone_does_not_load_it() -> None:
    code = (
        "import sys, leaky.torch; assert not any(m.startswith(('leaky.torch.watch', 'leaky.torch.monitor')) "
        "for m in sys.modules); leaky.torch.Monitor; assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
