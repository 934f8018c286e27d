"""Whoever compiles, exports, scripts, traces, transforms or watches a model sees PyTorch's own operation."""

import io
from collections.abc import Callable

import onnx
import pytest
import torch
import torch.nn.functional as F
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from leaky.torch import LeakyReLU, leaky_relu

pytestmark = pytest.mark.usefixtures("any_size")
deprecated = pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")

ATEN = torch.ops.aten.leaky_relu.default


def sample() -> torch.Tensor:
    return torch.randn(12, generator=torch.Generator().manual_seed(0))


def calls(graph: torch.fx.Graph) -> list[object]:
    return [node.target for node in graph.nodes if node.op == "call_function"]


@pytest.fixture
def compiled_graphs():
    """Give a backend for torch.compile that keeps the graphs it is handed."""
    graphs: list[torch.fx.Graph] = []

    def backend(module: torch.fx.GraphModule, example: list[torch.Tensor]) -> Callable[..., object]:
        graphs.append(module.graph)
        return module.forward

    torch.compiler.reset()
    yield backend, graphs
    torch.compiler.reset()


@deprecated
@pytest.mark.parametrize("slope", [0.2, 1, 0.0, -0.5])
@pytest.mark.parametrize("module", [False, True])
def test_compile(compiled_graphs, slope: float, module: bool) -> None:
    backend, graphs = compiled_graphs
    function = LeakyReLU(slope) if module else lambda t: leaky_relu(t, slope)
    x = sample().requires_grad_()
    y = torch.compile(function, fullgraph=True, backend=backend)(x)
    assert [calls(graph) for graph in graphs] == [[F.leaky_relu]]
    assert torch.equal(y, F.leaky_relu(x, slope))


@deprecated
@pytest.mark.parametrize("slope", [0.2, -0.5])
def test_compile_in_place_with_gradient(slope: float) -> None:
    torch.compiler.reset()
    x = sample().requires_grad_()
    y = torch.compile(lambda t: leaky_relu(t * 2, slope, True), fullgraph=True, backend="aot_eager")(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, torch.where(x > 0, 2.0, 2.0 * slope))


@deprecated
@pytest.mark.parametrize("strict", [False, True])
def test_export(strict: bool) -> None:
    shapes = ({0: torch.export.Dim("n", min=2)},)
    module = torch.nn.Sequential(LeakyReLU(0.3))
    program = torch.export.export(module, (sample(),), dynamic_shapes=shapes, strict=strict)
    assert calls(program.graph) == [ATEN]
    assert torch.equal(program.module()(sample()[:5]), module(sample()[:5]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("dynamo", [True, False])
def test_onnx_is_one_node(dynamo: bool, capsys: pytest.CaptureFixture[str]) -> None:
    file = io.BytesIO()
    torch.onnx.export(torch.nn.Sequential(LeakyReLU(0.3)), (sample(),), file, dynamo=dynamo)
    (node,) = onnx.load_from_string(file.getvalue()).graph.node
    assert node.op_type == "LeakyRelu"
    assert [attribute.f for attribute in node.attribute] == [pytest.approx(0.3)]


@deprecated
@pytest.mark.parametrize("inplace", [False, True])
def test_script(inplace: bool) -> None:
    expected = F.leaky_relu(sample(), 0.3)
    assert torch.equal(torch.jit.script(LeakyReLU(0.3, inplace))(sample()), expected)
    assert torch.equal(torch.jit.script(leaky_relu)(sample(), 0.3, inplace), expected)


@deprecated
def test_trace() -> None:
    traced = torch.jit.trace(LeakyReLU(0.3), sample())
    assert [node.kind() for node in traced.graph.nodes() if "::Constant" not in node.kind()] == ["aten::leaky_relu"]


def test_fx() -> None:
    assert calls(torch.fx.symbolic_trace(LeakyReLU(0.3)).graph) == [F.leaky_relu]
    for mode in ("real", "fake", "symbolic"):
        assert calls(make_fx(lambda t: leaky_relu(t, 0.3), tracing_mode=mode)(sample()).graph) == [ATEN]


@deprecated
@pytest.mark.parametrize("slope", [0.2, -0.5])
def test_transforms(slope: float) -> None:
    x, tangent = sample(), sample().flip(0)
    derivative = torch.where(x > 0, 1.0, slope)
    rows = x.view(3, 4)

    def function(tensor: torch.Tensor) -> torch.Tensor:
        return leaky_relu(tensor, slope)

    def scalar(tensor: torch.Tensor) -> torch.Tensor:
        return (function(tensor) ** 2).sum()

    assert torch.equal(torch.func.vmap(function)(rows), F.leaky_relu(rows, slope))
    assert torch.equal(torch.func.jvp(function, (x,), (tangent,))[1], tangent * derivative)
    assert torch.equal(torch.func.grad(lambda t: function(t).sum())(x), derivative)
    assert torch.equal(torch.func.vmap(torch.func.grad(scalar))(rows), torch.func.grad(scalar)(x).view(3, 4))
    assert torch.allclose(torch.func.hessian(scalar)(x), torch.diag(2 * derivative**2))
    assert torch.equal(torch.func.functionalize(lambda t: leaky_relu(t.clone(), slope, True))(x), function(x))


@deprecated
def test_forward_mode() -> None:
    x, tangent = sample(), sample().flip(0)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, tangent)
        y = leaky_relu(dual.requires_grad_(), 0.2)
        assert torch.equal(torch.autograd.forward_ad.unpack_dual(y).tangent, tangent * torch.where(x > 0, 1.0, 0.2))


@deprecated
@pytest.mark.parametrize("chunked", [False, True])
def test_transforms_of_the_backward_pass(chunked: bool) -> None:
    x = sample().requires_grad_()
    y = leaky_relu(x, 0.2)
    assert type(y.grad_fn).__name__ == "_ByMaskBackward"
    grads = torch.eye(12)
    if chunked:
        (rows,) = torch.autograd.grad(y, x, grads, is_grads_batched=True)
    else:
        rows = torch.func.vmap(lambda g: torch.autograd.grad(y, x, g)[0])(grads)
    assert torch.equal(rows, torch.diag(torch.where(x > 0, 1.0, 0.2)))


class Dispatched(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.append(func)
        return func(*args, **(kwargs or {}))


class Called(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.leaky_relu:
            self.seen.append(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("mode", "operation"), [(Dispatched, ATEN), (Called, F.leaky_relu)])
def test_modes_see_it(mode, operation: object) -> None:
    x = sample().requires_grad_()
    with mode() as watching:
        leaky_relu(x, 0.2)
    assert watching.seen == [operation]


def test_modes_see_its_backward() -> None:
    x = sample().requires_grad_()
    y = leaky_relu(x, 0.2)
    with Dispatched() as watching:
        torch.autograd.grad(y, x, sample())
    assert torch.ops.aten.leaky_relu_backward.default in watching.seen


class Subclass(torch.Tensor):
    pass


def test_stand_ins_for_tensors() -> None:
    subclass = sample().as_subclass(Subclass).requires_grad_()
    assert type(leaky_relu(subclass, 0.2)) is Subclass
    parameter = torch.nn.Parameter(sample())
    assert torch.equal(leaky_relu(parameter, 0.2), F.leaky_relu(parameter, 0.2))
    with torch._subclasses.FakeTensorMode():
        fake = torch.empty(12, requires_grad=True)
        assert type(leaky_relu(fake, 0.2)) is type(fake)
    with pytest.raises(TypeError, match="must be Tensor, not list"):
        leaky_relu([1.0, -1.0], 0.2)
