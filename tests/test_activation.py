from __future__ import annotations

import copy
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import leaky
from leaky import Activation

ALL = ["relu", "leaky_relu(0.1)", "prelu(0.25)", "rrelu", "sigmoid", "tanh", "elu", "gelu"]


@pytest.mark.parametrize("text", [*ALL, "elu(0.5)", "rrelu(0.1, 0.3)", "leaky_relu(-0.5)", "leaky_relu(inf)"])
def test_printed_as_parsed(text: str) -> None:
    assert str(Activation.parse(text)) == text


@given(st.floats(allow_nan=False))
def test_every_slope_survives_its_text(slope: float) -> None:
    activation = Activation("leaky_relu", (slope,))
    assert Activation.parse(str(activation)) == activation


def test_defaults_are_filled_in() -> None:
    assert (
        Activation.parse("leaky_relu") == Activation.parse(" leaky_relu ( 0.01 ) ") == Activation("leaky_relu", (0.01,))
    )
    assert str(Activation("prelu")) == "prelu(0.25)"
    assert repr(Activation("leaky_relu")) == "Activation('leaky_relu(0.01)')"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "swish",
            "activation: 'swish' is unknown; expected one of relu, leaky_relu, prelu, rrelu, sigmoid, tanh, elu, gelu",
        ),
        ("leaky_relu(", "activation: 'leaky_relu(' is not understood; expected a name such as relu or leaky_relu(0.1)"),
        ("", "activation: '' is not understood; expected a name such as relu or leaky_relu(0.1)"),
        (
            "leaky_relu(x)",
            "activation: 'leaky_relu(x)' has a parameter that is not a number; expected such as leaky_relu(0.1)",
        ),
        ("leaky_relu(nan)", "activation: leaky_relu's negative_slope is nan; expected a number"),
        ("relu(1)", "activation: relu was given 1 parameters; it takes none"),
        ("elu(1, 2)", "activation: elu was given 2 parameters; it takes at most 1 (alpha)"),
        ("rrelu(0.5, 0.1)", "activation: rrelu's bounds are (0.5, 0.1); expected lower ≤ upper"),
    ],
)
def test_errors_name_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Activation.parse(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("relu", nn.ReLU),
        ("leaky_relu(0.1)", leaky.torch.LeakyReLU),
        ("prelu(0.25)", nn.PReLU),
        ("rrelu", nn.RReLU),
        ("sigmoid", nn.Sigmoid),
        ("tanh", nn.Tanh),
        ("elu", nn.ELU),
        ("gelu", nn.GELU),
    ],
)
def test_module(text: str, kind: type[nn.Module]) -> None:
    module = Activation.parse(text).module()
    assert type(module) is kind
    assert copy.deepcopy(module).leaky_activation == text


def test_a_slope_for_each_site() -> None:
    arm = Activation.parse("leaky_relu(0.1, 0.7)")
    assert str(arm) == "leaky_relu(0.1, 0.7)"
    # He's condition on average over the sites: E[slope²] = (0.01 + 0.49) / 2.
    assert arm.typical.parameters == pytest.approx((0.5,))
    assert arm.gain == arm.typical.gain == pytest.approx(math.sqrt(2 / 1.25))
    assert Activation.parse("leaky_relu(0.3, 0.3)").typical == Activation("leaky_relu", (0.3,))
    assert Activation("relu").typical == Activation("relu")
    with pytest.raises(ValueError, match=r"^activation: leaky_relu\(0.1, 0.7\) has 2 slopes; a module takes one$"):
        arm.module()
    with pytest.raises(ValueError, match="leaky_relu's negative_slope is nan"):
        Activation.parse("leaky_relu(0.1, 0.2, nan)")


def test_parameters_reach_the_module() -> None:
    x = torch.tensor([-2.0])
    for text, expected in [("leaky_relu(0.3)", -0.6), ("prelu(0.5)", -1.0), ("elu(2)", 2 * math.expm1(-2))]:
        assert Activation.parse(text).module()(x).item() == pytest.approx(expected, rel=1e-6)
    rrelu = Activation.parse("rrelu(0.1, 0.3)").module()
    assert (rrelu.lower, rrelu.upper) == (0.1, 0.3)


@pytest.mark.parametrize("text", ["relu", "leaky_relu(0.2)", "prelu(0.25)", "rrelu", "elu", "elu(2)", "gelu"])
def test_gain_keeps_the_second_moment(text: str) -> None:
    # He's condition, checked by sampling what the module really computes.
    activation = Activation.parse(text)
    torch.manual_seed(0)
    with torch.no_grad():
        y = activation.module()(torch.randn(2_000_000))
    assert activation.gain**2 * y.double().square().mean().item() == pytest.approx(1, abs=0.01)


def test_gains_that_are_published() -> None:
    assert Activation("relu").gain == pytest.approx(math.sqrt(2))
    assert Activation.parse("leaky_relu(0.2)").gain == pytest.approx(1.386750, abs=5e-7)
    assert Activation("tanh").gain == nn.init.calculate_gain("tanh")
    assert Activation("sigmoid").gain == nn.init.calculate_gain("sigmoid")


def test_slopes_that_are_no_leak_are_warned_of() -> None:
    assert Activation.parse("leaky_relu(2)").slope_warning is not None
    assert Activation.parse("leaky_relu(-0.1)").slope_warning is not None
    assert all(
        Activation.parse(text).slope_warning is None for text in [*ALL, "leaky_relu(1)", "leaky_relu(0)", "elu(3)"]
    )


def test_numpy_numbers_are_welcome() -> None:
    assert str(Activation("leaky_relu", (np.float64(0.1),))) == "leaky_relu(0.1)"
