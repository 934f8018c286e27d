"""The way for other devices: the gradient from the output."""

import pytest
import torch
import torch.nn.functional as F

from leaky.torch import by_mask, by_output, leaky_relu

pytestmark = pytest.mark.usefixtures("any_size")

INF, NAN = float("inf"), float("nan")
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 5e-324, -5e-324, 1e-40, -1e-40, 3e38, -3e38, INF, -INF, NAN]


def name(tensor: torch.Tensor) -> str:
    return type(tensor.grad_fn).__name__


@pytest.fixture
def no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*args: object) -> None:
        raise AssertionError("the core was handed an address")

    for function in ("forward", "forward_with_mask", "backward_from_mask", "advise_huge_pages"):
        monkeypatch.setattr(by_mask._core, function, touched)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("slope", [0.0, -0.0, 1e-50, 0.01, 1.0, 2.0, INF])
def test_the_output_tells_as_much(dtype: torch.dtype, slope: float) -> None:
    if dtype.itemsize == 2:
        x = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype)
    else:
        x = torch.cat([torch.tensor(SPECIAL, dtype=dtype), torch.randn(1000, dtype=dtype) * 1e-44])
    gradients = []
    for function in (by_output.forward, F.leaky_relu):
        leaf = x.clone().requires_grad_()
        gradients += torch.autograd.grad(function(leaf, slope), leaf, torch.ones_like(x))
    assert torch.equal(*gradients)


@pytest.mark.usefixtures("no_core")
def test_other_devices() -> None:
    x = torch.empty(4, 5, device="meta", requires_grad=True)
    y = leaky_relu(x, 0.1)
    assert (name(y), y.device.type, y.shape) == ("_ByOutputBackward", "meta", x.shape)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.device.type == "meta"
    # The input tells more than the output where the slope is negative; in place PyTorch keeps the output of itself.
    assert name(leaky_relu(x, -0.1)) == "LeakyReluBackward0"
    assert name(leaky_relu(x * 1, 0.1, inplace=True)) == "LeakyReluBackward1"
    assert name(leaky_relu(x * 1, -0.1, inplace=True)) == "CopyBackwards"
    with torch.no_grad():
        assert leaky_relu(x, 0.1).grad_fn is None


@pytest.mark.usefixtures("no_core")
def test_the_output_is_all_that_is_kept() -> None:
    kept: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    x = torch.empty(4, 5, device="meta", requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = leaky_relu(x, 0.1)
    assert len(kept) == 1
    assert kept[0].shape == y.shape
    # On a device with memory it is the very tensor that the next layer keeps.
    cpu = torch.randn(4, 5, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = by_output.forward(cpu, 0.1)
    assert kept[1].data_ptr() == y.data_ptr()


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_gradcheck() -> None:
    x = torch.tensor([-2.0, -0.5, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: by_output.forward(t, 0.2), x, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(lambda t: by_output.forward(t, 0.2), x)


@pytest.mark.usefixtures("no_core")
def test_an_output_that_was_overwritten_is_told() -> None:
    x = torch.empty(4, 5, device="meta", requires_grad=True)
    y = leaky_relu(x, 0.1)
    y += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as caught:
        y.sum().backward()
    assert "leaky.torch.leaky_relu keeps its output" in caught.value.__notes__[0]
