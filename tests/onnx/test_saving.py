import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from leaky.onnx import ModelFile, read, save
from leaky.onnx.reading import opened

Model = Callable[..., onnx.ModelProto]
X = np.random.default_rng(0).standard_normal((5, 4)).astype("f")
A, B = (np.random.default_rng(seed).standard_normal((4, 4)).astype("f") for seed in (1, 2))


@pytest.fixture
def proto(model: Model) -> onnx.ModelProto:
    return model("h = MatMul(x, A) g = MatMul(h, B) i = MatMul(g, C) y = Relu(i)", weights={"A": A, "B": B, "C": A})


@pytest.fixture
def stored(proto: onnx.ModelProto, tmp_path: Path) -> ModelFile:
    """Return a model with external data in a folder of its own: two of three tensors share theirs."""
    path = tmp_path / "source" / "model.onnx"
    path.parent.mkdir()
    onnx.save_model(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    loaded = opened(path)[0]
    loaded.graph.initializer[2].external_data[1].value = loaded.graph.initializer[0].external_data[1].value
    path.write_bytes(loaded.SerializeToString())
    return ModelFile(loaded, path)


def run(path: Path) -> bytes:
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": X})[0].tobytes()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_model_in_memory(proto: onnx.ModelProto, tmp_path: Path) -> None:
    assert save(proto, tmp_path / "m.onnx") is None
    assert (tmp_path / "m.onnx").read_bytes() == proto.SerializeToString()
    ModelFile(proto, tmp_path / "elsewhere.onnx").save(str(tmp_path / "n.onnx"))
    assert files(tmp_path) == {"m.onnx", "n.onnx"}


def test_external_data_go_along(stored: ModelFile, tmp_path: Path) -> None:
    before = stored.proto.SerializeToString()
    out = tmp_path / "out.onnx"
    beside = stored.save(out)
    assert stored.proto.SerializeToString() == before
    assert beside is not None
    assert beside.name in files(tmp_path)
    (data,) = files(tmp_path) - {"out.onnx", "source"}
    assert data.startswith("out.onnx.")
    assert (tmp_path / data).read_bytes() == A.tobytes() + B.tobytes()
    read(out)
    onnx.checker.check_model(out)
    assert run(out) == run(stored.path)
    loaded = onnx.load_model(out)
    for tensor, array in zip(loaded.graph.initializer, (A, B, A), strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), array)
    stored.save(out)
    assert files(tmp_path) == {"out.onnx", "source", data}


def test_other_content_is_in_another_file(stored: ModelFile, tmp_path: Path) -> None:
    """So that a model has its own data until it has a new one."""
    out = tmp_path / "out.onnx"
    stored.save(out)
    first = files(tmp_path)
    (stored.path.parent / "weights.bin").write_bytes(B.tobytes() + A.tobytes() * 2)
    stored.save(out)
    assert len(files(tmp_path)) == len(first) + 1
    assert run(out) == run(stored.path)


def test_beside_the_model_it_has_data_of_its_own(stored: ModelFile) -> None:
    stored.save(stored.path.with_name("out.onnx"))
    expected = run(stored.path)
    stored.path.unlink()
    (stored.path.parent / "weights.bin").unlink()
    assert run(stored.path.with_name("out.onnx")) == expected


def test_over_itself_the_data_stay(stored: ModelFile) -> None:
    stored.proto.doc_string = "new"
    expected = run(stored.path)
    stored.save(stored.path)
    assert files(stored.path.parent) == {"model.onnx", "weights.bin"}
    assert run(stored.path) == expected
    assert onnx.load_model(stored.path).doc_string == "new"


def test_data_in_several_files_keep_their_place_in_a_page(stored: ModelFile, tmp_path: Path) -> None:
    (stored.path.parent / "more").mkdir()
    (stored.path.parent / "more" / "b.bin").write_bytes(bytes(12345) + B.tobytes())
    entries = stored.proto.graph.initializer[1].external_data
    entries[0].value, entries[1].value = "more/b.bin", "12345"
    stored.save(tmp_path / "out.onnx")
    tensors = onnx.load_model(tmp_path / "out.onnx", load_external_data=False).graph.initializer
    starts = [int(entry.value) for tensor in tensors for entry in tensor.external_data if entry.key == "offset"]
    assert starts == [0, 4096 + 12345 % 4096, 0]
    np.testing.assert_array_equal(numpy_helper.to_array(onnx.load_model(tmp_path / "out.onnx").graph.initializer[1]), B)


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_model(
    stored: ModelFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: bool,
    step: str,
    nth: int,
    failure: BaseException,
) -> None:
    """The first is that of the data, the second that of the model, whose old data may be the same."""
    real, calls = getattr(os, step), []

    def fail(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == nth:
            raise failure
        return real(*arguments)

    out = tmp_path / "out.onnx"
    stored.save(out)
    old, there = run(out), files(tmp_path)
    if changed:
        (stored.path.parent / "weights.bin").write_bytes(B.tobytes() + A.tobytes() * 2)
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(failure)):
        stored.save(out)
    assert len(calls) == nth
    assert files(tmp_path) == there
    assert run(out) == old


def test_data_that_are_not_there(stored: ModelFile, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^model: its external data cannot be copied: .* read it by its path$"):
        save(stored.proto, tmp_path / "out.onnx")
    stored.proto.graph.initializer[0].external_data[0].value = "/etc/passwd"
    with pytest.raises(ValueError, match="is no place below the model's folder"):
        stored.save(tmp_path / "out.onnx")
    assert files(tmp_path) == {"source"}


def test_data_that_become_shorter(stored: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at their size and the reading."""
    place_of = {"A": (stored.path.parent / "weights.bin", 0, 10**6)}
    monkeypatch.setattr("leaky.onnx.saving.place_of", lambda tensor, folder: place_of["A"])
    with pytest.raises(ValueError, match="it became shorter while it was read"):
        stored.save(tmp_path / "out.onnx")
    assert files(tmp_path) == {"source"}
