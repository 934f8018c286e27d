from collections.abc import Callable

import numpy as np
import onnx
import pytest

from leaky.onnx import watch

RNG = np.random.default_rng(0)


def weights(*shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {f"W{i}": RNG.standard_normal(shape).astype("f") for i, shape in enumerate(shapes)}


IMAGE, ROW, STEPS = "float[N,3,6,4] x", "float[N,8] x", "float[N,5,8] x"
CONV = "c = Conv(x, W0) "
C = ((7, 3, 1, 1),)


@pytest.mark.parametrize(
    ("text", "inputs", "shapes", "axis", "units", "fed_by"),
    [
        (CONV + "y = Relu(c)", IMAGE, C, 1, 7, "Conv_c"),
        ("c = ConvTranspose(x, W0) y = Relu(c)", IMAGE, ((3, 7, 2, 2),), 1, 7, "ConvTranspose_c"),
        (CONV + "b = Add(c, W1) y = Relu(b)", IMAGE, (*C, (7, 1, 1)), 1, 7, "Conv_c"),
        (CONV + "b = Add(c, W1) y = Relu(b)", IMAGE, (*C, (1, 7, 6, 4)), 1, 7, "Conv_c"),
        (CONV + "d = Add(c, c) y = Relu(d)", IMAGE, C, 1, 7, "Conv_c"),
        (CONV + "p = GlobalAveragePool(c) m = Mul(c, p) y = Relu(m)", IMAGE, C, 1, 7, "Conv_c"),
        (CONV + "p = MaxPool<kernel_shape = [2, 2]>(c) y = Relu(p)", IMAGE, C, 1, 7, "Conv_c"),
        (CONV + "t = Transpose<perm = [0, 3, 2, 1]>(c) y = Relu(t)", IMAGE, C, 3, 7, "Conv_c"),
        (CONV + "t = Transpose(c) u = Transpose(t) y = Relu(u)", IMAGE, C, 1, 7, "Conv_c"),
        (CONV + "k = Constant<value = int64[3] {0, 7, 24}>() r = Reshape(c, k) y = Relu(r)", IMAGE, C, 1, 7, "Conv_c"),
        (CONV + "g = GlobalMaxPool(c) f = Flatten(g) y = Relu(f)", IMAGE, C, 1, 7, "Conv_c"),
        (
            CONV + "g = GlobalMaxPool(c) k = Constant<value = int64[2] {2, 3}>() s = Squeeze(g, k) y = Relu(s)",
            IMAGE,
            C,
            1,
            7,
            "Conv_c",
        ),
        (CONV + "m = ReduceMean<axes = [2, 3], keepdims = 0>(c) y = Relu(m)", IMAGE, C, 1, 7, "Conv_c"),
        (CONV + "d = Conv(x, W1) a = Concat<axis = 1>(c, d) y = Relu(a)", IMAGE, (*C, (2, 3, 1, 1)), 1, 9, "Conv_c"),
        (CONV + "f = Flatten(c) y = Relu(f)", IMAGE, C, None, 1, "Conv_c"),
        (CONV + "k = Constant<value = int64 {0}>() g = Gather<axis = 2>(c, k) y = Relu(g)", IMAGE, C, 1, 7, "Conv_c"),
        (
            CONV + "k = Constant<value = int64 {0}>() g = Gather<axis = 0>(c, k) y = Relu(g)",
            "float[1,3,6,4] x",
            C,
            1,
            7,
            "Conv_c",
        ),
        (
            CONV + "s = InstanceNormalization(c, W1, W2) y = Relu(s)",
            IMAGE,
            (*C, (7,), (7,)),
            1,
            7,
            "InstanceNormalization_s",
        ),
        ("g = Gemm(x, W0, W1) y = Relu(g)", ROW, ((8, 6), (6,)), 1, 6, "Gemm_g"),
        ("m = MatMul(x, W0) y = Relu(m)", STEPS, ((8, 6),), 2, 6, "MatMul_m"),
        ("i = Identity(W0) t = Transpose(i) m = MatMul(x, t) y = Relu(m)", STEPS, ((6, 8),), 2, 6, "MatMul_m"),
        ("t = Transpose<perm = [0, 2, 1]>(x) m = MatMul(W0, t) y = Relu(m)", STEPS, ((6, 8),), 1, 6, "MatMul_m"),
        ('e = Einsum<equation = "nsi,io->nso">(x, W0) y = Relu(e)', STEPS, ((8, 6),), 2, 6, "Einsum_e"),
        ('e = Einsum<equation = "oi,nsi->nos">(W0, x) y = Relu(e)', STEPS, ((6, 8),), 1, 6, "Einsum_e"),
        (
            "m = MatMul(x, W0) n = LayerNormalization(m, W1) y = Relu(n)",
            STEPS,
            ((8, 6), (6,)),
            2,
            6,
            "LayerNormalization_n",
        ),
        (
            "m = MatMul(x, W0) k = Constant<value = int64[4] {0, 0, 3, 2}>() r = Reshape(m, k) y = Relu(r)",
            STEPS,
            ((8, 6),),
            None,
            1,
            "MatMul_m",
        ),
        ("y = Relu(x)", ROW, (), None, 1, None),
    ],
)
def test_units_and_layers(
    model: Callable[..., onnx.ModelProto],
    text: str,
    inputs: str,
    shapes: tuple[tuple[int, ...], ...],
    axis: int | None,
    units: int,
    fed_by: str | None,
) -> None:
    proto = model(text, inputs, weights(*shapes))
    size = [int(dim) if dim != "N" else 4 for dim in inputs[6:-3].split(",")]
    ((site, evidence),) = watch(proto, [RNG.standard_normal(size).astype("f")]).sites.values()
    assert (site.axis, site.units, site.fed_by) == (axis, units, fed_by)
    assert evidence.samples == size[0]
    assert site.judged
    assert site.note == ("" if axis is not None else "the axis of its units could not be told")
