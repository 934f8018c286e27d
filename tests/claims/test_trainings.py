"""The measurements of those experiments that train, where they are made of more than comparisons."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from leaky.claims import gan, pieces, training
from leaky.claims.experiment import Lab, Measured
from leaky.claims.pieces import gathered
from leaky.trials import Epoch, TaskError, Trial


def epoch(*gradient: float | None) -> Epoch:
    return Epoch(1.0, 0.5, 1.0, 0.5, (0,), (0.0,), (1.0,), gradient)


class TestGradients:
    def test_lost_decades_are_counted_whichever_way(self) -> None:
        assert training.decades([epoch(0.01, 1.0)]) == pytest.approx(2)
        assert training.decades([epoch(10.0, 1.0), epoch(1.0, 1.0)]) == pytest.approx(0.5)

    @pytest.mark.parametrize("dead", [epoch(0.0, 1.0), epoch(0.0, 0.0), epoch(1e-30, 1.0), epoch(None, 1.0)])
    def test_none_at_all_counts_as_six(self, dead: Epoch) -> None:
        assert training.decades([dead]) == 6


def test_epochs_to_a_loss() -> None:
    assert training.epochs_to(0.5, [0.9, 0.6, 0.5, 0.4], 3) == 2
    assert training.epochs_to(0.5, [0.9, None], 3) == 4


def test_the_loss_to_come_to_is_that_of_the_median_training() -> None:
    def trial(*losses: float) -> Trial:
        epochs = tuple(Epoch(loss, 0.5, 1.0, 0.5, (), (), (), ()) for loss in losses)
        return Trial("relu", 0, None if len(losses) > 2 else 2, epochs, (), (), (), 0.0)

    trials = [trial(1.0, 0.9, 0.1), trial(1.0, 0.8, 0.2), trial(1.0)]
    assert training.level_of(trials, 2) == 0.2
    assert training.level_of(trials, 1) == 0.9


class TestTargets:
    def test_a_real_sample_covers_its_mode(self) -> None:
        ring = gan.TARGETS["ring"]()
        assert ring.covered(ring.points.repeat(100, 1)) == 8
        assert ring.covered(ring.points[:3].repeat(100, 1)) == 3
        assert ring.covered(ring.points + 0.2) == 0
        assert ring.covered(torch.cat([ring.points[:1].repeat(995, 1), ring.points[1:2].repeat(5, 1)])) == 1

    def test_real_digits_are_all_covered(self) -> None:
        digits = gan.TARGETS["digits"]()
        torch.manual_seed(0)
        assert digits.covered(digits.draw(1000)) == 10
        assert digits.covered(torch.randn(1000, 64)) == 0
        moved = digits.points + digits.limit / 8 * 1.01  # in each of 64 pixels: beyond the limit from itself
        assert digits.covered(moved) < 10


def test_zeros_are_where_relu_is_silent() -> None:
    generator = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    discriminator = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    noise = torch.rand(10, 2)
    for layer in [*generator[::2], *discriminator[::2]]:
        layer.weight.data.abs_()
        layer.bias.data.fill_(0.1)
    assert gan._zeros(generator, discriminator, noise) == (0, 0, 0)
    discriminator[2].bias.data[:2] = -1e6
    assert gan._zeros(generator, discriminator, noise) == (0.25, 0, 0)
    discriminator[2].bias.data[:] = -1e6
    assert gan._zeros(generator, discriminator, noise) == (1, 1, 1)


def test_a_pair_trains_the_same_twice_and_leaves_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = gan.train("ring", "relu", "relu", 5, steps=20)
    assert torch.equal(torch.rand(1), expected)
    assert first == gan.train("ring", "relu", "relu", 5, steps=20)
    assert first != gan.train("ring", "relu", "relu", 6, steps=20)
    assert 0.2 < first["zeros"]["in the discriminator"] < 0.8
    leaky = gan.train("digits", "leaky_relu(0.2)", "leaky_relu(0.2)", 5, steps=20)
    assert leaky["zeros"] == dict.fromkeys(gan.PLACES, 0.0)
    assert len(leaky["covered"]) == gan.LOOKS


class TestPieces:
    def test_each_is_recorded_and_not_run_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run: list[int] = []

        def train(number: int) -> Measured:
            run.append(number)
            if number == 2 and run.count(2) == 1:
                raise TaskError("stopped")
            return {"square": number**2}

        shares: list[float] = []
        lab = Lab(tmp_path / "claims.db", 1, shares.append)
        calls = {str(n): (n,) for n in range(4)}
        with pytest.raises(TaskError, match="stopped"):
            gathered(lab, "squares", train, calls)
        assert gathered(lab, "squares", train, calls) == {str(n): {"square": n**2} for n in range(4)}
        assert run == [0, 1, 2, 2, 3]
        assert shares == [0.25, 0.5, 0.75, 1.0]
        monkeypatch.setattr(pieces, "environment", lambda: {"leaky": "another"})
        gathered(lab, "squares", train, {"0": (0,)})
        assert run[-1] == 0

    def test_processes_come_to_the_same(self, tmp_path: Path) -> None:
        calls = {str(seed): ("ring", "relu", "relu", seed, 10) for seed in range(3)}
        alone, two = (
            gathered(Lab(tmp_path / f"{jobs}.db", jobs, lambda share: None), "g", gan.train, calls) for jobs in (1, 2)
        )
        assert alone == two
        assert list(two) == list(calls)
