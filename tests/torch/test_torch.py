"""The PyTorch adapter against PyTorch's own operation."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import leaky
from leaky.torch import LeakyReLU, leaky_relu

INF, NAN = float("inf"), float("nan")
SPECIAL = [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 3e38, -3e38, INF, -INF, NAN]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def sample(dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.cat([torch.tensor(SPECIAL), torch.randn(1001, generator=generator)]).to(dtype)


def assert_same(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert actual.dtype == expected.dtype
    assert torch.equal(actual.view(torch.uint8), expected.view(torch.uint8))


def test_the_package_finds_it() -> None:
    assert leaky.torch.leaky_relu is leaky_relu


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("slope", [0.01, 0.0, 0.2, 3, -0.5, INF, np.float64(0.1), np.float32(0.1)])
def test_values_and_gradients(dtype: torch.dtype, slope: float) -> None:
    ours, theirs = sample(dtype).requires_grad_(), sample(dtype).requires_grad_()
    y, expected = leaky_relu(ours, slope), F.leaky_relu(theirs, float(slope))
    assert_same(y, expected)

    grad = torch.linspace(-2, 2, len(ours)).to(dtype)
    y.backward(grad)
    expected.backward(grad)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert_same(ours.grad, theirs.grad)
    assert_same(LeakyReLU(slope)(sample(dtype)), expected.detach())


def test_inplace() -> None:
    x = sample(torch.float32)
    expected = F.leaky_relu(x, 0.1)
    assert leaky_relu(x, 0.1, inplace=True) is x
    assert_same(x, expected)
    x = sample(torch.float32)
    assert LeakyReLU(0.1, inplace=True)(x) is x
    assert_same(x, expected)


def test_gradient_at_zero_is_the_slope() -> None:
    x = torch.zeros(2, requires_grad=True)
    leaky_relu(x, 0.25).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.25, 0.25]


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # by torch's own forward mode
def test_gradcheck() -> None:
    x = torch.tensor([-2.0, -0.5, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: leaky_relu(t, 0.2), x, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(lambda t: leaky_relu(t, 0.2), x)


def test_module_is_pytorchs_in_all_things() -> None:
    ours, theirs = LeakyReLU(0.3, inplace=True), torch.nn.LeakyReLU(0.3, inplace=True)
    assert isinstance(ours, torch.nn.LeakyReLU)
    assert repr(ours) == repr(theirs) == "LeakyReLU(negative_slope=0.3, inplace=True)"
    assert ours.state_dict() == theirs.state_dict() == {}
    assert (ours.negative_slope, ours.inplace) == (0.3, True)
    assert repr(LeakyReLU()) == repr(torch.nn.LeakyReLU())
    ours.load_state_dict(theirs.state_dict())


@pytest.mark.parametrize("again", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_and_pickles(again) -> None:
    module = again(LeakyReLU(0.3, inplace=True))
    assert type(module) is LeakyReLU
    assert (module.negative_slope, module.inplace) == (0.3, True)


def test_saved_and_loaded_by_name_alone() -> None:
    file = io.BytesIO()
    torch.save(LeakyReLU(0.3), file)
    file.seek(0)
    with torch.serialization.safe_globals([LeakyReLU, set]):
        module = torch.load(file, weights_only=True)
    assert module.negative_slope == 0.3


def test_traces() -> None:
    x = sample(torch.float32)
    model = torch.nn.Sequential(LeakyReLU(0.3))
    program = torch.export.export(model, (x,))
    assert [node.target for node in program.graph.nodes if node.op == "call_function"] == [
        torch.ops.aten.leaky_relu.default
    ]
    assert_same(torch.fx.symbolic_trace(model)(x), model(x))


@pytest.mark.parametrize("make", [LeakyReLU, lambda slope: leaky_relu(torch.zeros(1), slope)], ids=["module", "call"])
@pytest.mark.parametrize(
    ("slope", "error", "message"),
    [
        (NAN, ValueError, "negative_slope must be a real number, got NaN"),
        (None, TypeError, "negative_slope must be a real number, got None"),
        ("0.1", TypeError, "negative_slope must be a real number, got '0.1'"),
        (1j, TypeError, "negative_slope must be a real number, got 1j"),
        (True, TypeError, "negative_slope must be a real number, got True"),
        (np.array([0.1]), TypeError, "negative_slope must be a real number, got an array of float64"),
        (torch.tensor(0.1), TypeError, r"negative_slope must be a real number, got tensor\(0.1000\)"),
    ],
)
def test_errors(make, slope: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        make(slope)
