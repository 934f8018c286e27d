"""The core's way for CPU tensors: the same bits as PyTorch's own op, and one bit per element kept for backward."""

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import leaky.torch
from leaky.torch import LeakyReLU, leaky_relu

pytestmark = pytest.mark.usefixtures("any_size")

INF, NAN = float("inf"), float("nan")
SPECIAL = [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 1e-40, -1e-40, 1e-7, -1e-7, 6e4, -6e4, 3e38, -3e38, INF, -INF, NAN]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SLOPES = [0.0, -0.0, 0.01, 0.2, 1.0, 2.0, -0.5, 1e-50, INF, -INF]

# The signs of NaN, and its payloads, are not for the function to define.
BITS = {torch.float16: torch.int16, torch.bfloat16: torch.int16, torch.float32: torch.int32, torch.float64: torch.int64}


def assert_same(actual: torch.Tensor | None, expected: torch.Tensor | None) -> None:
    assert actual is not None
    assert expected is not None
    assert (actual.dtype, actual.shape, actual.stride()) == (expected.dtype, expected.shape, expected.stride())
    bits = BITS[expected.dtype]
    assert torch.equal(actual.detach().nan_to_num(nan=7).view(bits), expected.detach().nan_to_num(nan=7).view(bits))
    assert torch.equal(actual.isnan(), expected.isnan())


def inputs(dtype: torch.dtype) -> torch.Tensor:
    """Return all numbers of a type of 16 bits; of the others the special ones among random ones."""
    if dtype.itemsize == 2:
        return torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype)
    return torch.cat([torch.tensor(SPECIAL, dtype=dtype), torch.randn(1003, generator=seeded(), dtype=dtype)])


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def is_by_mask(tensor: torch.Tensor) -> bool:
    return type(tensor.grad_fn).__name__ == "_ByMaskBackward"


def values_and_gradient(
    function: Callable[..., torch.Tensor], x: torch.Tensor, grad: torch.Tensor, *args: object
) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = function(x, *args)
    (gradient,) = torch.autograd.grad(y, x, grad)
    return y, gradient


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("slope", SLOPES)
def test_values_and_gradients(dtype: torch.dtype, slope: float) -> None:
    x = inputs(dtype)
    grad = x[torch.randperm(len(x), generator=seeded())]
    y, gradient = values_and_gradient(leaky_relu, x, grad, slope)
    assert is_by_mask(y)
    expected, expected_gradient = values_and_gradient(F.leaky_relu, x, grad, slope)
    assert_same(y, expected)
    assert_same(gradient, expected_gradient)
    assert_same(leaky_relu(x, slope), expected)
    with torch.inference_mode():
        assert_same(leaky_relu(x, slope), expected)
        assert_same(leaky_relu(x.clone(), slope), expected)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(
    size=st.lists(st.integers(0, 5), max_size=4),
    order=st.randoms(use_true_random=False),
    slope=st.floats(allow_nan=False, width=32),
    expanded=st.booleans(),
)
def test_any_dense_layout(size: list[int], order, slope: float, expanded: bool) -> None:
    dims = list(range(len(size)))
    order.shuffle(dims)
    x = torch.randn(size, generator=seeded()).permute(dims)
    grad = torch.ones(()).expand(x.shape) if expanded else torch.randn(x.shape, generator=seeded())
    y, gradient = values_and_gradient(leaky_relu, x, grad, slope)
    expected, expected_gradient = values_and_gradient(F.leaky_relu, x, grad, slope)
    assert is_by_mask(y)
    assert_same(y, expected)
    assert torch.equal(gradient, expected_gradient)
    assert_same(leaky_relu(x, slope), F.leaky_relu(x, slope))


def layouts() -> Iterator[tuple[str, torch.Tensor, bool]]:
    yield (
        "channels_last",
        torch.randn(2, 3, 4, 5, generator=seeded()).contiguous(memory_format=torch.channels_last),
        True,
    )
    yield "transposed", torch.randn(6, 7, generator=seeded()).t(), True
    yield "one channel", torch.randn(2, 1, 3, 3, generator=seeded()).as_strided((2, 1, 3, 3), (9, 1, 3, 1)), True
    yield (
        "one row, channels last",
        torch.randn(1, 2, 2, 1, generator=seeded()).as_strided((1, 2, 2, 1), (4, 1, 2, 4)),
        True,
    )
    yield "offset", torch.randn(100, generator=seeded())[3:], True
    yield "columns", torch.randn(6, 8, generator=seeded())[:, ::2], False
    yield "rows", torch.randn(6, 8, generator=seeded())[::2], False
    yield "expanded", torch.randn(6, 1, generator=seeded()).expand(6, 5), False
    yield "negated", torch._neg_view(torch.randn(9, generator=seeded())), False


@pytest.mark.parametrize(("x", "by_core"), [case[1:] for case in layouts()], ids=[case[0] for case in layouts()])
def test_layouts(x: torch.Tensor, by_core: bool) -> None:
    ours, theirs = x.detach().requires_grad_(), x.detach().requires_grad_()
    y, expected = leaky_relu(ours, 0.1), F.leaky_relu(theirs, 0.1)
    assert is_by_mask(y) == by_core
    assert_same(y, expected)
    assert_same(leaky_relu(x, 0.1), expected)
    grad = torch.randn(y.shape, generator=seeded())
    y.backward(grad)
    expected.backward(grad)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_in_place(dtype: torch.dtype, slope: float) -> None:
    x = inputs(dtype)
    grad = x.flip(0)
    expected, expected_gradient = values_and_gradient(F.leaky_relu, x, grad, slope)

    leaf = x.clone().requires_grad_()
    before = leaf * 1
    y = leaky_relu(before, slope, inplace=True)
    assert y is before
    assert is_by_mask(y)
    assert_same(y, expected)
    y.backward(grad)
    assert_same(leaf.grad, expected_gradient)

    alone = x.clone()
    assert leaky_relu(alone, slope, inplace=True) is alone
    assert_same(alone, expected)


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("slope", [0.1, 0.0, -0.5])
def test_in_place_on_a_view_and_on_gaps(slope: float, small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaky.torch, "_SMALL", 1 << 22 if small else 0)
    leaf = torch.randn(6, 8, generator=seeded(), requires_grad=True)
    for part in [(slice(2), slice(None)), (slice(None), slice(0, 8, 2))]:
        whole = leaf * 1
        leaky_relu(whole[part], slope, inplace=True)
        expected = torch.ones_like(leaf)
        expected[part] = torch.where(leaf[part] > 0, 1.0, slope)
        (gradient,) = torch.autograd.grad(whole.sum(), leaf)
        assert torch.equal(gradient, expected)
        assert torch.equal(whole.detach(), leaf.detach() * expected)


def test_in_place_is_noticed() -> None:
    leaf = torch.randn(9, generator=seeded(), requires_grad=True)
    kept = leaf.exp()  # backward wants its output as it was
    leaky_relu(kept, 0.1, inplace=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        kept.sum().backward()

    kept = leaf.exp()
    with torch.no_grad():
        leaky_relu(kept, 0.1, inplace=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        kept.sum().backward()


def test_in_place_refused_as_pytorch_does() -> None:
    leaf = torch.randn(9, generator=seeded(), requires_grad=True)
    before = leaf.detach().clone()
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        leaky_relu(leaf, 0.1, inplace=True)
    for slope in (0.1, -0.1):
        with pytest.raises(
            RuntimeError, match="a view of a leaf Variable that requires grad is being used in an in-place"
        ):
            leaky_relu(leaf.view(3, 3), slope, inplace=True)
    inner = leaf * 1
    with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
        leaky_relu(inner.chunk(2)[0], 0.1, inplace=True)
    assert torch.equal(inner, before)
    with torch.inference_mode():
        inference = before.clone()
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside InferenceMode"):
        leaky_relu(inference, 0.1, inplace=True)
    assert torch.equal(leaf.detach(), before)


def test_slopes_beyond_float32_are_refused_as_pytorch_does() -> None:
    x = torch.randn(9, generator=seeded())
    for function in (leaky_relu, F.leaky_relu):
        with pytest.raises(RuntimeError, match="cannot be converted to type float without overflow"):
            function(x, -1e39)
    assert_same(leaky_relu(x.double(), -1e39), F.leaky_relu(x.double(), -1e39))


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64])
def test_other_types_are_refused_as_pytorch_does(dtype: torch.dtype) -> None:
    with pytest.raises(RuntimeError, match="not implemented for"):
        leaky_relu(torch.ones(9, dtype=dtype))


@pytest.mark.parametrize("inplace", [False, True])
def test_hooks_may_bring_the_mask_back_with_gaps(inplace: bool) -> None:
    x = torch.randn(100, generator=seeded(), requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: torch.stack([t, t], -1)[..., 0]):
        (gradient,) = torch.autograd.grad(leaky_relu(x * 1, 0.1, inplace).sum(), x)
    assert torch.equal(gradient, torch.where(x > 0, 1.0, 0.1))


@pytest.mark.parametrize("change", [lambda t: t.float(), lambda t: t[1:], lambda t: t.to("meta")])
def test_hooks_that_bring_back_something_else(change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    x = torch.randn(100, generator=seeded(), requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, change):
        y = leaky_relu(x, 0.1)
        with pytest.raises(
            RuntimeError, match=r"saved 16 bytes as torch.uint8 on the CPU for backward; a saved-tensor"
        ):
            y.sum().backward()


def test_a_default_device_is_no_reason_to_step_aside() -> None:
    x = torch.randn(100, generator=seeded(), requires_grad=True)
    for device in ("cpu", "meta"):
        with torch.device(device):
            y = leaky_relu(x, 0.1)
            assert is_by_mask(y)
            (gradient,) = torch.autograd.grad(y.sum(), x)
        assert torch.equal(gradient, torch.where(x > 0, 1.0, 0.1))


def test_input_may_be_overwritten() -> None:
    x = torch.randn(100, generator=seeded(), requires_grad=True)
    before = x * 1
    y = leaky_relu(before, 0.1)
    before.neg_()
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, torch.where(x > 0, 1.0, 0.1))


@pytest.mark.parametrize("size", [1, 8, 63, 64, 65, 1000])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("inplace", [False, True])
def test_bytes_kept(size: int, dtype: torch.dtype, inplace: bool) -> None:
    kept: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.nbytes)
        return tensor

    x = torch.ones(size, dtype=dtype, requires_grad=True) * 1
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        leaky_relu(x, 0.1, inplace)
    assert kept == [-(-size // 64) * 8]


def test_backward_twice() -> None:
    x = torch.randn(9, generator=seeded(), requires_grad=True)
    y = leaky_relu(x, 0.1)
    first = torch.autograd.grad(y.sum(), x, retain_graph=True)
    second = torch.autograd.grad(y.sum(), x)
    assert torch.equal(*first, *second)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(y.sum(), x)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # by torch's own forward mode
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("slope", [0.2, 0.0, -0.5, 3.0])
def test_gradcheck(slope: float, inplace: bool) -> None:
    x = torch.randn(3, 4, 5, generator=seeded(), dtype=torch.float64).transpose(0, 2).requires_grad_()

    def function(tensor: torch.Tensor) -> torch.Tensor:
        return leaky_relu(tensor * 1, slope, inplace)

    assert is_by_mask(function(x))
    assert torch.autograd.gradcheck(function, x, check_forward_ad=slope >= 0 or not inplace, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(
        function, x, check_batched_grad=True, check_fwd_over_rev=slope >= 0 or not inplace
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_second_order_bits(dtype: torch.dtype) -> None:
    x = inputs(dtype)
    grad = x.flip(0).requires_grad_()
    results = []
    for function in (leaky_relu, F.leaky_relu):
        leaf = x.clone().requires_grad_()
        (first,) = torch.autograd.grad(function(leaf, 0.3), leaf, grad, create_graph=True)
        (second,) = torch.autograd.grad(first, grad, x.roll(5))
        results.append((first, second))
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs)


def test_autocast_keeps_the_type() -> None:
    x = torch.randn(9, generator=seeded(), requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = leaky_relu(x)
        assert is_by_mask(y)
        assert y.dtype == F.leaky_relu(x).dtype == torch.float32
        assert leaky_relu(x.bfloat16()).dtype == torch.bfloat16


def test_checkpointing() -> None:
    x = torch.randn(100, generator=seeded(), requires_grad=True)
    y = torch.utils.checkpoint.checkpoint(LeakyReLU(0.1), x, use_reentrant=False)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, torch.where(x > 0, 1.0, 0.1))


def test_large_ones_go_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    x = torch.randn(1 << 21, generator=seeded(), requires_grad=True)
    y = leaky_relu(x, 0.1)
    assert is_by_mask(y)
    assert_same(y, F.leaky_relu(x, 0.1))
    assert type(leaky_relu(x[1:]).grad_fn).__name__ == "LeakyReluBackward0"


def test_huge_ones_on_huge_pages() -> None:
    x = torch.randn(3, 1 << 20, generator=seeded())
    grad = torch.randn(1 << 20, 3, generator=seeded()).t()
    ours, theirs = (values_and_gradient(function, x, grad, 0.1) for function in (leaky_relu, F.leaky_relu))
    assert_same(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])
