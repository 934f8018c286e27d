"""An ONNX file: which of its units never fire, and a version of it with leaks.

    python examples/onnx_file.py [MODEL.onnx INPUTS.npy]

Without arguments it makes a small model, in which one unit has died, and random inputs.
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import leaky


def small_model(path):
    rng = np.random.default_rng(0)
    biases = rng.normal(size=16).astype(np.float32)
    biases[3] = -100  # it has died
    numbers = {
        "w": rng.normal(size=(8, 16)).astype(np.float32),
        "b": biases,
        "v": rng.normal(size=(16, 4)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["hidden"], name="first"),
        helper.make_node("Relu", ["hidden"], ["active"], name="relu"),
        helper.make_node("MatMul", ["active", "v"], ["y"], name="last"),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size]) for name, size in (("x", 8), ("y", 4)))
    graph = helper.make_graph(
        nodes, "small", [x], [y], [numpy_helper.from_array(a, name) for name, a in numbers.items()]
    )
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), path)


if len(sys.argv) > 2:
    model, inputs = sys.argv[1], np.load(sys.argv[2], mmap_mode="r")
else:
    model, inputs = "small.onnx", np.random.default_rng(1).normal(size=(1000, 8)).astype(np.float32)
    small_model(model)

check = leaky.check(model, inputs)
print(check)
for finding in check.problems:
    print(f"{finding.code} at {finding.site}, units {finding.units}: {finding.text}")
leaky.write_report(check, "onnx.html")

conversion = leaky.convert(model, 0.1, only=check, data=inputs)  # the sites with dead units
print(conversion.headline)
leaky.onnx.save(conversion.model, "leaky.onnx")
