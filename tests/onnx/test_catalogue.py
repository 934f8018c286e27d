import math
from collections.abc import Callable

import numpy as np
import onnx
import pytest

from leaky.evidence import Site
from leaky.onnx import watch

W = np.eye(4, dtype="f")
CONSTANTS = {
    "zero": np.zeros(1, "f"),
    "three": np.full(1, 3, "f"),
    "six": np.full((), 6, "f"),
    "huge": np.full((), np.finfo("f").max, "f"),
    "minus": np.full((), -1, "f"),
    "one": np.ones((), "f"),
    "half": np.full((), 0.5, "f"),
    "tenth": np.full((), 0.1, "f"),
    "root": np.full((), math.sqrt(2), "f"),
    "inverse": np.full((), math.sqrt(0.5), "f"),
    "pi": np.full((), math.sqrt(2 / math.pi), "f"),
    "cubic": np.full((), 0.044715, "f"),
    "slopes": np.array([0.1, -0.2, 0, 1.5], "f"),
}
INF = math.inf
GELU = "s = Mul(h, h) c = Mul(s, h) d = Mul(c, cubic) e = Add(h, d) f = Mul(e, pi) t = Tanh(f) y = Mul(t, h)"


def sites(model: Callable[..., onnx.ModelProto], text: str, opset: int = 20) -> list[Site]:
    used = {
        name: value for name, value in CONSTANTS.items() if name in text.replace(",", " ").replace(")", " ").split()
    }
    used |= {name: value for name, value in CONSTANTS.items() if f"({name}" in text}
    proto = model(f"h = MatMul(x, W) {text}", weights={"W": W, **used}, opset=opset, ir=9)
    x = np.random.default_rng(0).standard_normal((8, 4)).astype("f")
    return [site for site, _ in watch(proto, [x]).sites.values()]


@pytest.mark.parametrize(
    ("text", "kind", "form", "limits", "slope"),
    [
        ("y = Relu(h)", "relu", "Relu", (0, INF), None),
        ("y = LeakyRelu(h)", "leaky_relu", "LeakyRelu", (-INF, INF), 0.01),
        ("y = LeakyRelu<alpha = 0.3>(h)", "leaky_relu", "LeakyRelu", (-INF, INF), 0.3),
        ("y = PRelu(h, tenth)", "prelu", "PRelu", (-INF, INF), 0.1),
        ("y = PRelu(h, slopes)", "prelu", "PRelu", (-INF, INF), (0.1, -0.2, 0, 1.5)),
        ("y = ThresholdedRelu<alpha = 0.5>(h)", "threshold", "ThresholdedRelu", (0, INF), None),
        ("y = Clip(h, zero)", "relu", "Clip(0)", (0, INF), None),
        ("y = Clip(h, zero, huge)", "relu", "Clip(0)", (0, INF), None),
        ("y = Clip(h, zero, six)", "relu6", "Clip(0, 6)", (0, 6), None),
        ("y = Clip(h, zero, three)", "hardtanh", "Clip(0, 3)", (0, 3), None),
        ("y = Clip(h, minus, one)", "hardtanh", "Clip(-1, 1)", (-1, 1), None),
        ("y = Max(h, zero)", "relu", "Max(x, 0)", (0, INF), None),
        ("y = Max(zero, h)", "relu", "Max(x, 0)", (0, INF), None),
        ("a = Mul(tenth, h) y = Max(h, a)", "leaky_relu", "Max(x, slope · x)", (-INF, INF), 0.1),
        ("c = Greater(h, zero) y = Where(c, h, zero)", "relu", "Where(x > 0, x, 0)", (0, INF), None),
        ("c = Less(h, zero) y = Where(c, zero, h)", "relu", "Where(x > 0, x, 0)", (0, INF), None),
        ("c = Less(zero, h) y = Where(c, h, zero)", "relu", "Where(x > 0, x, 0)", (0, INF), None),
        (
            "c = GreaterOrEqual(h, zero) a = Mul(h, tenth) y = Where(c, h, a)",
            "leaky_relu",
            "Where(x > 0, x, slope · x)",
            (-INF, INF),
            0.1,
        ),
        ("c = Greater(h, zero) f = Cast<to = 1>(c) y = Mul(h, f)", "relu", "x · (x > 0)", (0, INF), None),
        ("c = Greater(h, zero) f = Cast<to = 1>(c) y = Mul(f, h)", "relu", "x · (x > 0)", (0, INF), None),
        ("y = Sigmoid(h)", "sigmoid", "Sigmoid", (-5.98645, 5.98645), None),
        ("y = Tanh(h)", "tanh", "Tanh", (-2.993223, 2.993223), None),
        ("y = HardSigmoid(h)", "hardsigmoid", "HardSigmoid", (-2.5, 2.5), None),
        ("s = Sigmoid(h) y = Mul(s, h)", "silu", "x · Sigmoid(x)", (-6.14292, INF), None),
        ("s = HardSigmoid<alpha = 0.16666667>(h) y = Mul(h, s)", "hardswish", "x · HardSigmoid(x)", (-3, INF), None),
        ("y = HardSwish(h)", "hardswish", "HardSwish", (-3, INF), None),
        ("y = Softplus(h)", "softplus", "Softplus", (-4.595120, INF), None),
        ("s = Softplus(h) t = Tanh(s) y = Mul(h, t)", "mish", "Softplus", (-6.15874, INF), None),
        ("y = Softsign(h)", "softsign", "Softsign", (-9, 9), None),
        ("y = Elu(h)", "elu", "Elu", (-4.605170, INF), None),
        ("y = Elu<alpha = 0.1>(h)", "elu", "Elu", (-2.302585, INF), None),
        ("y = Elu<alpha = 0.001>(h)", "elu", "Elu", (0, INF), None),
        ("y = Celu<alpha = 2.0>(h)", "celu", "Celu", (-9.210340, INF), None),
        ("y = Selu(h)", "selu", "Selu", (-4.605170, INF), None),
        ("y = Gelu(h)", "gelu", "Gelu", (-3.02166, INF), None),
        (
            "d = Div(h, root) e = Erf(d) f = Add(e, one) g = Mul(h, f) y = Mul(g, half)",
            "gelu",
            "GELU by Erf",
            (-3.02166, INF),
            None,
        ),
        ("d = Mul(h, inverse) e = Erf(d) f = Add(e, one) y = Mul(h, f)", "gelu", "GELU by Erf", (-3.02166, INF), None),
        (GELU, "gelu", "GELU by Tanh", (-3.02166, INF), None),
    ],
)
def test_activations(
    model: Callable[..., onnx.ModelProto],
    text: str,
    kind: str,
    form: str,
    limits: tuple[float, float],
    slope: float | tuple[float, ...] | None,
) -> None:
    (site,) = sites(model, text)
    assert (site.kind, site.form) == (kind, form)
    assert site.limits == pytest.approx(limits)
    assert site.slope == (None if slope is None else pytest.approx(slope))
    assert (site.units, site.fed_by, site.judged) == (4, "MatMul_h", True)


def test_clip_by_attributes(model: Callable[..., onnx.ModelProto]) -> None:
    (site,) = sites(model, "y = Clip<min = 0.0, max = 6.0>(h)", opset=10)
    assert (site.kind, site.limits) == ("relu6", (0, 6))


@pytest.mark.parametrize(
    "text",
    [
        "y = Max(h, one)",
        "y = Max(h, h)",
        "y = Clip(h, one, six)",
        "m = ReduceMax<keepdims = 0>(h) y = Clip(h, m)",
        "c = Greater(h, one) y = Where(c, h, zero)",
        "c = Greater(h, zero) y = Where(c, zero, h)",
        "e = Erf(h) y = Mul(e, h)",
        "z = Cast<to = 7>(zero) i = Cast<to = 7>(h) m = Max(i, z) y = Cast<to = 1>(m)",
        "w = Relu(zero) y = Add(h, w)",
        "y = Mul(h, h)",
    ],
)
def test_what_is_none(model: Callable[..., onnx.ModelProto], text: str) -> None:
    assert sites(model, text) == []


@pytest.mark.parametrize(
    ("kind", "derivative"),
    [("sigmoid", lambda z: 1 / (1 + math.exp(-z)) / (1 + math.exp(z)) * 4), ("tanh", lambda z: 1 - math.tanh(z) ** 2)],
)
def test_saturation_is_where_the_derivative_is_one_percent(
    model: Callable[..., onnx.ModelProto], kind: str, derivative: Callable[[float], float]
) -> None:
    (site,) = sites(model, f"y = {kind.capitalize()}(h)")
    assert derivative(site.limits[0]) == pytest.approx(0.01) == derivative(site.limits[1])


def test_what_exceeds_a_threshold(model: Callable[..., onnx.ModelProto]) -> None:
    x = np.random.default_rng(0).standard_normal((50, 4)).astype("f")
    proto = model("h = MatMul(x, W) y = ThresholdedRelu<alpha = 0.5>(h)", weights={"W": W})
    ((site, evidence),) = watch(proto, [x]).sites.values()
    assert evidence.active_samples.tolist() == (x > 0.5).sum(axis=0).tolist()
    assert site.note == "its pre-activation is what exceeds 0.5"
