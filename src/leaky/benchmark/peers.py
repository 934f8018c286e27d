"""The list of what is timed: leaky and its peers, each prepared for a size, a type and a slope."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Call = Callable[[], object]

FLOAT16, BFLOAT16, FLOAT32, FLOAT64 = TYPES = ("float16", "bfloat16", "float32", "float64")

BUFFER, FRESH, TRAINING = "forward into a buffer", "forward", "forward and backward"

#: what is timed of each, with what that means
WAYS = {
    BUFFER: "into an output that is there; np.where and np.maximum allocate",
    FRESH: "a new output in each call",
    TRAINING: "new outputs and gradients in each call",
}


@dataclass(frozen=True)
class Case:
    """What a call works on. The numbers are drawn from the normal distribution, half of them negative."""

    size: int
    dtype: str
    slope: float

    @functools.cached_property
    def x(self) -> NDArray[Any]:
        """The input."""
        return self._normal(0)

    @functools.cached_property
    def out(self) -> NDArray[Any]:
        """Room for the output, touched once."""
        return np.zeros_like(self.x)

    def tensor(self, *, requires_grad: bool = False) -> Any:
        """Return the input as a PyTorch tensor."""
        return self._tensor(self.x).requires_grad_(requires_grad)

    @functools.cached_property
    def grad(self) -> NDArray[Any]:
        """The gradient."""
        return self._normal(1)

    def grad_tensor(self) -> Any:
        """Return the gradient as a PyTorch tensor."""
        return self._tensor(self.grad)

    def out_tensor(self) -> Any:
        """Return the room for the output as a PyTorch tensor."""
        return self._tensor(self.out)

    def _normal(self, seed: int) -> NDArray[Any]:
        numbers = np.random.default_rng(seed).standard_normal(self.size, dtype=np.float32)
        if self.dtype == BFLOAT16:
            import ml_dtypes

            return numbers.astype(ml_dtypes.bfloat16)
        return numbers.astype(self.dtype)

    def _tensor(self, array: NDArray[Any]) -> Any:
        import torch

        if self.dtype == BFLOAT16:  # PyTorch does not know NumPy's
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)


Prepare = Callable[[Case], Call]


@dataclass(frozen=True)
class Peer:
    """One way to do it."""

    name: str
    way: str
    prepare: Prepare
    #: the packages that have to be installed
    needs: tuple[str, ...] = ()
    types: tuple[str, ...] = TYPES

    def runs(self, dtype: str) -> bool:
        """Say whether it can be timed here, for this type."""
        needs = (*self.needs, "ml_dtypes") if dtype == BFLOAT16 else self.needs
        return dtype in self.types and all(importlib.util.find_spec(name) for name in needs)


PEERS: list[Peer] = []


def peer(
    name: str, way: str, needs: tuple[str, ...] = (), types: tuple[str, ...] = TYPES
) -> Callable[[Prepare], Prepare]:
    """Put what is decorated on the list: a function that takes a case and returns what to call."""

    def enter(prepare: Prepare) -> Prepare:
        PEERS.append(Peer(name, way, prepare, needs, types))
        return prepare

    return enter


# --- into a buffer


@peer("leaky.leaky_relu", BUFFER)
def _leaky(case: Case) -> Call:
    from leaky.function import leaky_relu

    x, out, slope = case.x, case.out, case.slope
    return lambda: leaky_relu(x, slope, out=out)


@peer("copy (the ceiling)", BUFFER)
def _copy(case: Case) -> Call:
    from leaky import _core

    x, out, nbytes = case.x, case.out, case.x.nbytes
    source, target = x.ctypes.data, out.ctypes.data

    def call(keep: object = (x, out)) -> None:
        _core.copy(source, target, nbytes)

    return call


@peer("np.where(x>0, x, a*x)", BUFFER, types=(FLOAT16, FLOAT32, FLOAT64))
def _where(case: Case) -> Call:
    x, slope = case.x, case.slope
    return lambda: np.where(x > 0, x, slope * x)


@peer("np.maximum(a*x, x)", BUFFER, types=(FLOAT16, FLOAT32, FLOAT64))
def _maximum(case: Case) -> Call:
    x, slope = case.x, case.slope
    return lambda: np.maximum(slope * x, x)


@peer("np.maximum, in out", BUFFER, types=(FLOAT16, FLOAT32, FLOAT64))
def _maximum_in_place(case: Case) -> Call:
    x, out, slope = case.x, case.out, case.slope
    return lambda: np.maximum(np.multiply(x, slope, out=out), x, out=out)


@peer("numexpr", BUFFER, ("numexpr",), (FLOAT32, FLOAT64))
def _numexpr(case: Case) -> Call:
    import numexpr

    values = {"x": case.x, "a": case.x.dtype.type(case.slope)}
    out = case.out
    return lambda: numexpr.evaluate("where(x > 0, x, a * x)", values, out=out)


@functools.cache
def _compiled() -> Any:
    import numba

    @numba.njit(parallel=True)
    def leaky_relu(x: Any, slope: Any, out: Any) -> None:
        for i in numba.prange(x.size):
            out[i] = x[i] if x[i] > 0 else x[i] * slope

    return leaky_relu


@peer("numba parallel loop", BUFFER, ("numba",), (FLOAT32, FLOAT64))
def _numba(case: Case) -> Call:
    compiled, x, out, slope = _compiled(), case.x, case.out, case.x.dtype.type(case.slope)
    return lambda: compiled(x, slope, out)


@peer("ONNX Runtime", BUFFER, ("onnx", "onnxruntime"), (FLOAT16, FLOAT32))
def _onnx_runtime(case: Case) -> Call:
    import onnxruntime
    from onnx import helper

    element = helper.np_dtype_to_tensor_dtype(case.x.dtype)
    x, y = (helper.make_tensor_value_info(name, element, [case.size]) for name in "xy")
    node = helper.make_node("LeakyRelu", ["x"], ["y"], alpha=case.slope)
    graph = helper.make_graph([node], "leaky_relu", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(case.x))
    binding.bind_ortvalue_output("y", onnxruntime.OrtValue.ortvalue_from_numpy(case.out))
    return lambda: session.run_with_iobinding(binding)


@peer("PyTorch leaky_relu", BUFFER, ("torch",))
def _torch_leaky_relu(case: Case) -> Call:
    import torch

    x, out, slope = case.tensor(), case.out_tensor(), case.slope
    return lambda: torch._C._nn.leaky_relu(x, slope, out=out)


@peer("PyTorch relu", BUFFER, ("torch",))
def _torch_relu(case: Case) -> Call:
    import torch

    x, out = case.tensor(), case.out_tensor()
    return lambda: torch.ops.aten.relu.out(x, out=out)


@peer("PyTorch sigmoid", BUFFER, ("torch",))
def _torch_sigmoid(case: Case) -> Call:
    import torch

    x, out = case.tensor(), case.out_tensor()
    return lambda: torch.sigmoid(x, out=out)


@peer("PyTorch tanh", BUFFER, ("torch",))
def _torch_tanh(case: Case) -> Call:
    import torch

    x, out = case.tensor(), case.out_tensor()
    return lambda: torch.tanh(x, out=out)


# --- forward, and forward and backward, in a framework


def _functions(case: Case) -> dict[str, Callable[[Any], Any]]:
    """Return PyTorch's functions that are timed, by name, leaky's first."""
    import torch
    import torch.nn.functional as F

    import leaky.torch

    slope, learned = case.slope, torch.full((1,), case.slope).to(case.tensor().dtype)
    return {
        "leaky.torch.leaky_relu": lambda x: leaky.torch.leaky_relu(x, slope),
        "PyTorch leaky_relu": lambda x: F.leaky_relu(x, slope),
        "PyTorch relu": F.relu,
        "PyTorch prelu": lambda x: F.prelu(x, learned),
        "PyTorch sigmoid": torch.sigmoid,
        "PyTorch tanh": torch.tanh,
    }


def _forward(name: str, case: Case) -> Call:
    function, x = _functions(case)[name], case.tensor()
    return lambda: function(x)


def _training(name: str, case: Case) -> Call:
    function, x, grad = _functions(case)[name], case.tensor(requires_grad=True), case.grad_tensor()

    def call() -> object:
        function(x).backward(grad)
        gradient, x.grad = x.grad, None
        return gradient

    return call


def _enter_frameworks() -> None:
    names = ("leaky_relu", "relu", "prelu", "sigmoid", "tanh")
    for way, prepare, jax in ((FRESH, _forward, _jax_forward), (TRAINING, _training, _jax_training)):
        for name in ("leaky.torch.leaky_relu", *(f"PyTorch {name}" for name in names)):
            PEERS.append(Peer(name, way, functools.partial(prepare, name), ("torch",)))
        PEERS.append(Peer("JAX jit leaky_relu", way, jax, ("jax",), (FLOAT16, BFLOAT16, FLOAT32)))


def _jax_forward(case: Case) -> Call:
    import jax

    function = jax.jit(lambda x: jax.nn.leaky_relu(x, case.slope))
    return _awaited(function, jax.numpy.asarray(case.x))


def _jax_training(case: Case) -> Call:
    import jax

    @jax.jit
    def both(x: Any, grad: Any) -> Any:
        y, pull = jax.vjp(lambda x: jax.nn.leaky_relu(x, case.slope), x)
        return y, pull(grad)[0]

    return _awaited(both, jax.numpy.asarray(case.x), jax.numpy.asarray(case.grad))


def _awaited(function: Any, *arguments: Any) -> Call:
    """Return a call that comes back when its result is there, which JAX's own do not wait for."""
    import jax

    ready: Any = jax.block_until_ready
    return lambda: ready(function(*arguments))


_enter_frameworks()
