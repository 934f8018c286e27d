import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from leaky.onnx import read, watch

Model = Callable[..., onnx.ModelProto]
W = np.eye(4, dtype="f")
X = np.ones((2, 4), "f")
DENSE = "h = MatMul(x, W) y = Relu(h)"


@pytest.fixture
def dense(model: Model) -> onnx.ModelProto:
    return model(DENSE, weights={"W": W})


@pytest.fixture
def external(dense: onnx.ModelProto, tmp_path: Path) -> Path:
    """Return the path of a model whose weights are in another file."""
    path = tmp_path / "model.onnx"
    onnx.save_model(dense, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def refusal(path: Path, proto: onnx.ModelProto | bytes | None = None, max_memory: int | None = None) -> str:
    """Return why a model is refused, without the path that comes first."""
    if proto is not None:
        path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read(path, max_memory)
    text = str(caught.value)
    assert text.isprintable()
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


def test_no_model(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.onnx") == "no such file"
    assert refusal(tmp_path) == "no such file"
    assert refusal(tmp_path / "empty.onnx", b"") == "not an ONNX model: it has no operations"
    assert refusal(tmp_path / "text.onnx", b"import os\nos.system('true')\n").startswith("not an ONNX model: ")


def test_every_truncation(dense: onnx.ModelProto, tmp_path: Path) -> None:
    data = dense.SerializeToString()
    for size in range(0, len(data), 3):
        assert refusal(tmp_path / "cut.onnx", data[:size])


def test_sizes_are_checked_before_memory_is_taken(dense: onnx.ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    assert "bytes, more than the 100 allowed" in refusal(path, dense, 100)
    dense.graph.initializer[0].dims[:] = [10**6, 10**6]
    assert refusal(path, dense) == (
        "tensor 'W': its shape [1000000, 1000000] takes 4,000,000,000,000 values or bytes, and it has 64"
    )
    assert "bytes, more than the 1,000,000 allowed" in refusal(path, dense, 10**6)
    dense.graph.initializer[0].dims[:] = [2**62] * 100
    assert refusal(path, dense) == "tensor 'W': it has 100 dimensions"
    dense.graph.initializer[0].dims[:] = [-4, -4]
    assert refusal(path, dense) == "tensor 'W': its shape [-4, -4] has a negative dimension"


def test_many_tensors_within_the_limit_are_not_all(model: Model, tmp_path: Path) -> None:
    """A sparse tensor takes no bytes in the file, and many when it is made dense."""
    proto = model(DENSE, weights={"W": W})
    for index in range(20):
        sparse = proto.graph.sparse_initializer.add()
        sparse.values.CopyFrom(onnx.numpy_helper.from_array(np.ones(1, "f"), f"s{index}"))
        sparse.indices.CopyFrom(onnx.numpy_helper.from_array(np.zeros(1, np.int64)))
        sparse.dims[:] = [20_000]
    assert refusal(tmp_path / "m.onnx", proto, 10**6) == "its tensors take more than the 1,000,000 bytes allowed"


def test_typed_data_of_all_widths(model: Model, tmp_path: Path) -> None:
    for name in (
        "float",
        "double",
        "float16",
        "bfloat16",
        "int8",
        "uint8",
        "int32",
        "int64",
        "uint64",
        "bool",
        "string",
    ):
        kind = getattr(onnx.TensorProto, name.upper())
        values = [b"a"] * 5 if name == "string" else [1] * 5
        tensor = onnx.helper.make_tensor("t", kind, [5], values)
        proto = model("y = Relu(x)")
        proto.graph.initializer.append(tensor)
        (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
        assert len(read(tmp_path / "m.onnx").graph.initializers) == 1
        tensor.dims[0] = 6
        proto.graph.initializer[0].CopyFrom(tensor)
        assert "takes 6 values or bytes, and it has 5" in refusal(tmp_path / "m.onnx", proto)
    for name, count in (("int4", 3), ("uint4", 3)):
        proto = model("y = Relu(x)")
        proto.graph.initializer.append(
            onnx.helper.make_tensor("t", getattr(onnx.TensorProto, name.upper()), [5], [1] * 5)
        )
        assert len(proto.graph.initializer[0].int32_data) == count


def relocated(path: Path, **entries: object) -> onnx.ModelProto:
    proto = onnx.load_model(path, load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        if entry.key in entries:
            entry.value = str(entries[entry.key])
    return proto


@pytest.mark.parametrize(
    "location",
    [
        "/etc/passwd",
        "../weights.bin",
        "a/../../weights.bin",
        "..",
        ".",
        "",
        "..\\weights.bin",
        "C:\\weights.bin",
        "a\0b",
    ],
)
def test_external_data_stay_in_the_folder(external: Path, location: str) -> None:
    (external.parent.parent / "weights.bin").write_bytes(bytes(64))
    reason = refusal(external, relocated(external, location=location))
    assert reason.startswith("tensor 'W': external data in ")
    assert reason.endswith(("which is no place below the model's folder", "which is no file"))


def test_links_do_not_lead_out_of_the_folder(external: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.bin"
    outside.write_bytes(bytes(64))
    (external.parent / "weights.bin").unlink()
    (external.parent / "weights.bin").symlink_to(outside)
    assert refusal(external) == "tensor 'W': external data in 'weights.bin', which leads out of the model's folder"
    (external.parent / "below").symlink_to(outside.parent)
    reason = refusal(external, relocated(external, location="below/secret.bin"))
    assert reason == "tensor 'W': external data in 'below/secret.bin', which leads out of the model's folder"


def test_external_data_have_to_be_there(external: Path) -> None:
    weights = external.parent / "weights.bin"
    size = weights.stat().st_size
    assert "external data from byte 1 to 65 of a file of 64" in refusal(external, relocated(external, offset=1))
    assert "takes 64 bytes, and its external data have 60" in refusal(
        external, relocated(external, offset=0, length=60)
    )
    assert "the length of its external data is no number" in refusal(external, relocated(external, length="-64"))
    assert "the offset of its external data is no number" in refusal(
        external, relocated(external, length=size, offset="9" * 5000)
    )
    onnx.save_model(relocated(external, offset=0), external)
    weights.unlink()
    assert refusal(external) == "tensor 'W': external data in 'weights.bin', and there is no such file"
    os.mkfifo(weights)
    assert refusal(external) == "tensor 'W': external data in 'weights.bin', which is no file"


def test_external_data_are_said_once(external: Path) -> None:
    proto = onnx.load_model(external, load_external_data=False)
    proto.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    assert refusal(external, proto).startswith("tensor 'W': external data with 'location")
    proto.graph.initializer[0].external_data[-1].key = "loc\x1b[0m"
    assert refusal(external, proto).startswith("tensor 'W': external data with 'location")


def test_a_model_in_memory_has_no_folder(external: Path) -> None:
    proto = onnx.load_model(external, load_external_data=False)
    with pytest.raises(ValueError, match="a model in memory has no folder: read it by its path"):
        watch(proto, [X])


def test_bodies_too_deep(tmp_path: Path) -> None:
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [], [])
    for _ in range(26):
        node = onnx.helper.make_node("If", ["c"], ["z"], then_branch=graph, else_branch=onnx.GraphProto())
        graph = onnx.helper.make_graph([node], "g", [], [])
    assert refusal(tmp_path / "m.onnx", onnx.helper.make_model(graph)) == (
        "bodies of If and Loop are nested more than 24 deep"
    )


def functions(bodies: list[str]) -> onnx.ModelProto:
    """Return a model with functions f0, f1 and so on, unchecked: ONNX's own tools do not come back from some."""
    texts = [
        f'<domain: "my", opset_import: ["" : 17, "my" : 1]> f{index} (x) => (y) {{ {body} }}'
        for index, body in enumerate(bodies)
    ]
    head = '<ir_version: 8, opset_import: ["" : 17, "my" : 1]> g (float[N,4] x) => (float[N,4] y) { y = my.f0(x) }'
    return onnx.parser.parse_model("\n".join([head, *texts]))


def test_functions_that_call_each_other(tmp_path: Path) -> None:
    proto = functions(["y = my.f1(x)", "y = Relu(x)"])
    proto.functions[1].node[0].CopyFrom(onnx.helper.make_node("f0", ["x"], ["y"], domain="my"))
    assert refusal(tmp_path / "m.onnx", proto) == "its functions call themselves"


def test_functions_of_too_many_operations(tmp_path: Path) -> None:
    calls = [f"a = my.f{i + 1}(x) b = my.f{i + 1}(a) c = my.f{i + 1}(b) y = my.f{i + 1}(c)" for i in range(20)]
    proto = functions([*calls, "y = Relu(x)"])
    assert refusal(tmp_path / "m.onnx", proto) == "its functions, written out, come to more than 1,000,000 operations"


def test_unknown_domains_are_named(model: Model, tmp_path: Path) -> None:
    proto = model("y = Relu(x)")
    proto.graph.node[0].domain = "com.\x1b[31mexample"
    proto.opset_import.add(domain="com.\x1b[31mexample", version=1)
    assert refusal(tmp_path / "m.onnx", proto) == (
        "operator 'Relu' is of the domain 'com.[31mexample', which is neither the file's nor ONNX Runtime's own"
    )


def test_inputs_that_may_not_be_left_out(model: Model, tmp_path: Path) -> None:
    """ONNX Runtime 1.31 crashes on these."""
    proto = model("m = Max(x, x) y = Clip(m)")
    proto.graph.node[0].input[1] = ""
    assert "Max '' lacks its input 1" in refusal(tmp_path / "m.onnx", proto)
    proto.graph.node[0].input[1] = "x"
    proto.graph.node[1].input.append("")
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    read(tmp_path / "m.onnx")


def test_text_that_is_none(dense: onnx.ModelProto, tmp_path: Path) -> None:
    data = dense.SerializeToString().replace(b"MatMul", b"Mat\xfful")
    assert "is not in UTF-8" in refusal(tmp_path / "m.onnx", data)


def test_a_model_in_memory_is_checked_and_left_as_it_is(dense: onnx.ModelProto, model: Model) -> None:
    clamped = model(f"{DENSE} z = Constant<value = float {{0.0}}>() c = Max(h, z)", weights={"W": W})
    before = clamped.SerializeToString()
    watch(clamped, [X])
    assert clamped.SerializeToString() == before
    before = dense.SerializeToString()
    watch(dense, [X])
    assert dense.SerializeToString() == before
    dense.graph.initializer[0].dims[0] = 5
    with pytest.raises(ValueError, match="tensor 'W': its shape"):
        watch(dense, [X])


@pytest.mark.parametrize("package", ["onnx", "onnx_ir", "onnxruntime"])
def test_the_extra_is_named(package: str) -> None:
    code = f"import sys; sys.modules['{package}'] = None; import leaky.onnx"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert (
        done.stderr.splitlines()[-1]
        == f"leaky.extras.MissingPackageError: leaky.onnx needs {package}: pip install 'leaky[onnx]'"
    )
