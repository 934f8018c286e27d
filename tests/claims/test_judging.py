"""What each judging function says of made-up numbers on either side of its criterion."""

from __future__ import annotations

from typing import Any

import pytest

from leaky.claims import converting, cost, differences, dying, gradients, growth, kink, linearity, silence, sparsity
from leaky.claims.answer import Answer

Measured = dict[str, Any]


def told(answer: Answer) -> tuple[str, str]:
    """Return the verdict and its condition; whatever is drawn has something to say to those who cannot see it."""
    assert answer.sentence
    assert all(plot.description and plot.series for plot in answer.plots)
    return answer.verdict, answer.condition


class TestDying:
    def measured(self, **changes: tuple[int, int, int]) -> Measured:
        """Return units that are silent and stay so, but for those named: zero, unmoved, awake."""
        counts = {}
        for i, setting in enumerate(dying._SETTINGS):
            for arm in ("relu", "leaky_relu(0.01)"):
                zero, unmoved, awake = changes.get(f"{arm[:5].strip('_')}{i}", (10, 10, 0))
                counts[f"{setting.name}: {arm}"] = {"zero": zero, "unmoved": unmoved, "awake": awake}
        return {"seeds": 10, "counts": counts}

    def test_each_side(self) -> None:
        assert told(dying.judge(self.measured()))[0] == "holds"
        for change in ({"relu4": (10, 10, 1)}, {"relu1": (10, 9, 0)}):
            verdict, condition = told(dying.judge(self.measured(**change)))
            assert verdict == "holds only when"
            assert "do not change" in condition
        for change in ({"relu0": (10, 9, 0)}, {"relu0": (10, 10, 1)}, {"relu3": (9, 10, 0)}):
            assert told(dying.judge(self.measured(**change)))[0] == "does not hold here"

    def test_what_a_leak_does_is_told_and_not_judged(self) -> None:
        answer = dying.judge(self.measured(leaky4=(0, 0, 7)))
        assert answer.verdict == "holds"
        assert "0 of 60 ReLU units fired again, and 7 of as many with Leaky ReLU" in answer.sentence


class TestSilence:
    def measured(self, relu: float = 0.1, leaky: float = 0.05, without: tuple[int, int] = (9, 0)) -> Measured:
        silent = {"relu": relu, "leaky_relu(0.01)": leaky, "leaky_relu(0.2)": leaky / 2}
        found: Measured = {"silent": {arm: [value, value * 1.1, value * 0.8] for arm, value in silent.items()}}
        for arm in silent:
            found[arm] = {"units": 90, "silent": 9, "without_gradient": without[arm != "relu"]}
        return found

    def test_each_side(self) -> None:
        assert told(silence.judge(self.measured(leaky=0.0)))[0] == "holds"
        verdict, condition = told(silence.judge(self.measured()))
        assert verdict == "holds only when"
        assert "without a gradient" in condition
        assert told(silence.judge(self.measured(without=(9, 1))))[0] == "does not hold here"
        assert told(silence.judge(self.measured(relu=0.0, leaky=0.0, without=(0, 0))))[0] == "not shown"


class TestGradients:
    def measured(self, relu: float = 1.0, derivative: float = 1.0, **ratios: float) -> Measured:
        """Return ratios at all depths: those of sigmoid and tanh 1e-6 and of the others ``relu``, unless named."""
        table = {
            f"{init}: {arm}": [
                ratios.get(f"{init}_{arm}", ratios.get(arm, 1e-6 if arm in ("sigmoid", "tanh") else relu))
            ]
            * 4
            for init in gradients._INITS
            for arm in gradients._ARMS
        }
        slopes = {arm: [1e-9 if arm in ("sigmoid", "tanh") else derivative] for arm in gradients._ARMS}
        return {"ratios": table, "norms": table, "derivatives": {arm: s * 6 for arm, s in slopes.items()}}

    def test_each_side(self) -> None:
        assert told(gradients.judge(self.measured()))[0] == "holds"
        for failing in (
            self.measured(relu=0.009),
            self.measured(sigmoid=0.011),
            self.measured(derivative=0.009),
        ):
            assert told(gradients.judge(failing))[0] == "does not hold here"
        assert told(gradients.judge(self.measured(relu=0.011)))[0] == "holds"

    def test_conditions(self) -> None:
        assert told(gradients.judge(self.measured(Glorot_relu=1e-3))) == (
            "holds only when",
            "the weights are drawn by He's rule",
        )
        vanishing = {"Glorot_leaky_relu(0.01)": 1e-3, "He_leaky_relu(0.01)": 1e-3}
        assert told(gradients.judge(self.measured(**vanishing)))[1] == (
            "leaky_relu(0.01) is not drawn by Glorot or He's rule, with which its gradients vanish"
        )
        assert told(gradients.judge(self.measured(tanh=1.0)))[1].startswith("tanh is left out")
        assert "tanh is not drawn by He's rule" in told(gradients.judge(self.measured(He_tanh=1.0)))[1]


class TestGrowth:
    def measured(self, he: float = 1.0, large: float = 1e9, normalised: float = 1.0) -> Measured:
        last = dict.fromkeys(growth._WAYS, he) | {growth._TOO_LARGE: large, growth._NORMALISED: normalised}
        layers = {f"{way}: {arm}": [1.0] * 49 + [end] for way, end in last.items() for arm in growth._ARMS}
        return {"growth": layers, "inputs": {arm: [1.0, 10.0, 100.0, 1e3, 1e4] for arm in growth._ARMS}}

    def test_each_side(self) -> None:
        assert told(growth.judge(self.measured(he=101.0)))[0] == "holds"
        assert told(growth.judge(self.measured(he=99.0)))[0] == "holds only when"
        assert told(growth.judge(self.measured(large=99.0)))[0] == "does not hold here"
        assert told(growth.judge(self.measured(normalised=101.0)))[0] == "holds"

    def test_what_tanh_does_is_not_judged(self) -> None:
        measured = self.measured(large=1.0)
        measured["growth"]["He: tanh"][-1] = 1e6
        assert growth.judge(measured).verdict == "does not hold here"


class TestCost:
    def measured(self, **cases: dict[str, float]) -> Measured:
        """Return ratios of all cases, ReLU as fast and the others twice as slow, but for the cases numbered."""
        usual = dict.fromkeys(cost._PEERS, 2.0) | {"PyTorch relu": 1.0}
        names = [f"{way}, {size}" for way in cost._WAYS for size in cost._SIZES.values()]
        return {"ratios": {name: usual | cases.get(f"case{i}", {}) for i, name in enumerate(names)}, "machine": {}}

    @pytest.mark.parametrize(
        ("peer", "quick", "slow"), [("relu", 0.51, 0.49), ("sigmoid", 0.81, 0.79), ("tanh", 0.81, 0.79)]
    )
    def test_each_side(self, peer: str, quick: float, slow: float) -> None:
        assert told(cost.judge(self.measured(case1={f"PyTorch {peer}": quick})))[0] == "holds"
        verdict, condition = told(cost.judge(self.measured(case1={f"PyTorch {peer}": slow})))
        assert verdict == "holds only when"
        assert "forward, 1 Mi" not in condition
        assert "forward, 64 Ki" in condition
        everywhere = {f"case{i}": {f"PyTorch {peer}": slow} for i in range(6)}
        assert told(cost.judge(self.measured(**everywhere)))[0] == "does not hold here"

    def test_ratios_are_rounded(self) -> None:
        answer = cost.judge(self.measured(case0={"PyTorch tanh": 13.37}))
        assert "1337" not in "".join(map(str, answer.numbers.values())).replace(".", "")
        assert answer.numbers["forward, 64 Ki: time of PyTorch tanh over leaky's"] == 10.0


class TestSparsity:
    def measured(self, relu: float = 0.5, leaky: float = 0.0, kept: float = 4.0, faster: float = 1.0) -> Measured:
        zeros = {"relu": [relu] * 3, "leaky_relu(0.01)": [leaky] * 3, "leaky_relu(0.2)": [leaky] * 3}
        memory = dict.fromkeys(sparsity._KEEPERS, 4.0) | {"PyTorch's leaky_relu": kept, "leaky.torch.leaky_relu": 0.125}
        return {"zeros": zeros, "kept": memory, "products": {"relu": faster, "leaky_relu(0.01)": faster}}

    def test_each_side(self) -> None:
        assert told(sparsity.judge(self.measured()))[0] == "does not hold here"
        assert told(sparsity.judge(self.measured(leaky=0.5)))[0] == "does not hold here"
        assert told(sparsity.judge(self.measured(leaky=0.5, kept=2.0)))[0] == "holds"
        assert told(sparsity.judge(self.measured(leaky=0.5, faster=1.2)))[0] == "holds"
        assert told(sparsity.judge(self.measured(leaky=0.09, faster=1.2)))[0] == "does not hold here"
        assert told(sparsity.judge(self.measured(relu=0.09)))[0] == "not shown"


class TestKink:
    def measured(self, rises: tuple[float, float, float], worse: float = 0.0) -> Measured:
        """Return rises at the three rates where the twin has none, and accuracies below the twin's by so much."""
        found: Measured = {"rises": {}, "accuracy": {}, "losses": {}, "at_zero": 0.0}
        for rate, rise in zip(kink._RATES, rises, strict=True):
            for name in kink._FUNCTIONS:
                leaky, key = name == "leaky_relu(0.01)", f"{name}, rate {rate:g}"
                found["rises"][key] = [0.001 * i + (rise if leaky else 0.0) * (1 + 0.01 * i) for i in range(8)]
                found["accuracy"][key] = [0.9 + 0.001 * i - (worse + 0.0005 * (i % 3)) * leaky for i in range(8)]
                found["losses"][key] = [2.0, None]
        return found

    def test_each_side(self) -> None:
        assert told(kink.judge(self.measured((0.2, 0.2, 0.2))))[0] == "holds"
        verdict, condition = told(kink.judge(self.measured((0.04, 0.0, 0.2))))
        assert (verdict, condition) == ("holds only when", "the learning rate is 1, of those tried")
        assert told(kink.judge(self.measured((0.04, 0.0, 0.02))))[0] == "does not hold here"
        assert told(kink.judge(self.measured((0.2, 0.2, 0.2), worse=0.05)))[0] == "does not hold here"

    def test_too_uncertain(self) -> None:
        measured = self.measured((0.0, 0.0, 0.0))
        measured["rises"]["leaky_relu(0.01), rate 1"] = [0.0, 0.9, 0.0, 0.9, 0.0, 0.9, 0.0, 0.0]
        assert kink.judge(measured).verdict == "not shown"


class TestLinearity:
    def measured(self, harm: dict[str, float], lost: dict[str, list[float]] | None = None) -> Measured:
        """Return scores that slope 0.2 lowers by so much on a task, and errors of reconstruction by slope."""
        scores = {
            task: {
                arm: [0.9 + 0.001 * i - (harm.get(task, 0.0) + 0.0001 * i) * (arm != linearity._BASE) for i in range(8)]
                for arm in linearity._ARMS
            }
            for task in linearity._TASKS
        }
        errors = {f"{slope:g}": [1e-6] * 5 for slope in linearity._SLOPES} | {"0": [0.5] * 5}
        return {"scores": scores, "errors": errors | (lost or {})}

    def test_each_side(self) -> None:
        everywhere = dict.fromkeys(linearity._TASKS, 0.05)
        shallow = {"0.01": [0.02] * 5}
        better = dict.fromkeys(linearity._TASKS, -0.05)
        assert told(linearity.judge(self.measured(everywhere, shallow)))[0] == "holds"
        assert told(linearity.judge(self.measured(better)))[0] == "does not hold here"
        assert told(linearity.judge(self.measured(better, {"0.5": [0.5] * 5})))[0] == "does not hold here"  # not in use

    def test_conditions(self) -> None:
        better = dict.fromkeys(linearity._TASKS, -0.05)
        verdict, condition = told(linearity.judge(self.measured(better | {"mnist1d": 0.05})))
        assert verdict == "holds only when"
        assert condition == "linearity is meant, and the task is mnist1d, of the three"
        assert told(linearity.judge(self.measured(better, {"0.01": [0.02] * 5})))[1] == "information is meant"

    def test_rounding_is_no_loss(self) -> None:
        better, deep = dict.fromkeys(linearity._TASKS, -0.05), {"0.01": [1e-6, 1e-6, 1e-6, 0.02, 0.5]}
        assert told(linearity.judge(self.measured(better, deep)))[0] == "does not hold here"


class TestConverting:
    def measured(self, *fates: tuple[int, int, bool]) -> Measured:
        return {f"net {i}": {"rectifiers": n, "left": left, "same": same} for i, (n, left, same) in enumerate(fates)}

    def test_each_side(self) -> None:
        well, rest, moved, none = (3, 0, True), (3, 1, True), (3, 0, False), (0, 0, True)
        assert told(converting.judge(self.measured(well, well)))[0] == "holds"
        for bad in (rest, moved, none):
            verdict, condition = told(converting.judge(self.measured(well, bad)))
            assert (verdict, condition) == ("holds only when", "the network is net 0, of those tried")
            assert told(converting.judge(self.measured(well, bad, bad)))[0] == "does not hold here"

    def test_what_is_not_installed_is_said(self) -> None:
        one = {"rectifiers": 3, "left": 0, "same": True}
        assert "Of ONNX and transformers none is installed" in converting.judge({"nn.Transformer": one}).sentence
        assert "Of transformers none" in converting.judge({"a (ONNX)": one}).sentence
        assert "none" not in converting.judge({"a (ONNX)": one, "b (transformers)": one}).sentence


def test_differences_are_a_table() -> None:
    measured = {
        "accuracy": {"relu": [0.9, None, 0.8], "leaky_relu(0.01)": [0.9, 0.91, 0.85]},
        "silent": {"relu": 0.12, "leaky_relu(0.01)": 0.1},
        "zeros": {"relu": 0.6, "leaky_relu(0.01)": 0.0},
        "kept": {"relu": 4.0, "leaky_relu(0.01)": 0.125},
        "time": 0.87,
    }
    answer = differences.judge(measured)
    assert answer.verdict == "defined"
    assert answer.table is not None
    rows = {name: (relu, leaky) for name, relu, leaky in answer.table.rows}
    assert rows["output at −2"] == ("0", "−0.02")
    assert rows["slope below 0"] == ("0", "0.01")
    assert rows["silent units after training"] == ("12.0 %", "10.0 %")
    assert rows["bytes kept for backward per element, by PyTorch's ReLU and by leaky's"] == ("4", "0.125")
    assert rows["time forward and backward of these, 1 Mi elements"] == ("1", "0.9")
