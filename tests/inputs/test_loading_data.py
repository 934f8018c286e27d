from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from leaky.inputs.loading import LoadingError, load_data


@pytest.fixture
def x() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=(10, 3, 2))


def joined(data: Any) -> np.ndarray[Any, Any]:
    return np.concatenate(list(data))


@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 99])
def test_an_array_in_batches(batch_size: int, x: np.ndarray[Any, Any], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", x)
    data = load_data(str(tmp_path / "x.npy"), batch_size=batch_size)
    assert (data.count, data.samples) == (-(-10 // batch_size), 10)
    assert operator.length_hint(data) == len(list(data)) == data.count
    assert all(len(batch) == batch_size for batch in list(data)[:-1])
    for _ in range(2):
        np.testing.assert_array_equal(joined(data), x)


@pytest.mark.parametrize("stored", ["<f8", ">f4", "f2", "longdouble", "u1", "?", "i1", "<i2", ">i4", "u4", "i8"])
def test_types(stored: str, tmp_path: Path) -> None:
    values = np.array([[0, 1], [1, 1], [1, 0]]).astype(stored)
    np.save(tmp_path / "x.npy", values)
    (batch,) = load_data(str(tmp_path / "x.npy"))
    assert batch.dtype == values.dtype.newbyteorder("=")
    assert batch.dtype.isnative
    assert batch.flags.writeable
    np.testing.assert_array_equal(batch, values)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
class TestArchives:
    def test_inputs_and_targets(self, save: Any, x: np.ndarray[Any, Any], tmp_path: Path) -> None:
        y = (np.arange(10) % 3).astype(np.uint8)
        save(tmp_path / "a.npz", y=y, x=x, x_test=x[:2])
        data = load_data(str(tmp_path / "a.npz"), batch_size=4)
        assert [(a.shape, b.shape) for a, b in data] == [((4, 3, 2), (4,)), ((4, 3, 2), (4,)), ((2, 3, 2), (2,))]
        np.testing.assert_array_equal(np.concatenate([a for a, _ in data]), x)
        targets = np.concatenate([b for _, b in data])
        assert targets.dtype == np.uint8
        np.testing.assert_array_equal(targets, y)

    def test_a_single_array_of_any_name(self, save: Any, x: np.ndarray[Any, Any], tmp_path: Path) -> None:
        save(tmp_path / "a.npz", x)
        np.testing.assert_array_equal(joined(load_data(str(tmp_path / "a.npz"), batch_size=3)), x)

    def test_named_inputs(self, save: Any, tmp_path: Path) -> None:
        save(tmp_path / "a.npz", ids=np.arange(6).reshape(3, 2), mask=np.ones((3, 2), bool))
        first, second = load_data(str(tmp_path / "a.npz"), batch_size=2)
        assert {name: (a.shape, str(a.dtype)) for name, a in first.items()} == {
            "ids": ((2, 2), "int64"),
            "mask": ((2, 2), "bool"),
        }
        assert second["ids"].tolist() == [[4, 5]]

    def test_lengths_that_differ(self, save: Any, x: np.ndarray[Any, Any], tmp_path: Path) -> None:
        save(tmp_path / "a.npz", x=x, y=np.arange(9))
        with pytest.raises(LoadingError, match="has 9 samples of 'y'; expected 10 as of 'x'"):
            load_data(str(tmp_path / "a.npz"))

    def test_no_arrays(self, save: Any, tmp_path: Path) -> None:
        save(tmp_path / "a.npz")
        with pytest.raises(LoadingError, match="holds no array; expected one, x and y, or one for each input"):
            load_data(str(tmp_path / "a.npz"))


@pytest.mark.parametrize("batch_size", [1, 4, 7, 10, 64])
def test_a_folder_is_one_array(batch_size: int, x: np.ndarray[Any, Any], tmp_path: Path) -> None:
    for name, part in (("c", x[9:]), ("b", x[2:9]), ("a", x[:2])):
        np.save(tmp_path / f"{name}.npy", np.asfortranarray(part) if name == "b" else part)
    (tmp_path / "notes.txt").write_text("not data")
    data = load_data(str(tmp_path), batch_size=batch_size)
    assert [len(batch) for batch in data] == [min(batch_size, 10 - i) for i in range(0, 10, batch_size)]
    np.testing.assert_array_equal(joined(data), x)


def test_a_folder_of_unequal_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    np.save(tmp_path / "b.npy", np.zeros((2, 4)))
    with pytest.raises(
        LoadingError, match=r"b\.npy' has samples of shape \(4,\), float64; expected \(3,\), float64 as in"
    ):
        load_data(str(tmp_path))


def test_files_that_change_meanwhile(x: np.ndarray[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, x)
    data = load_data(str(path), batch_size=4)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(LoadingError, match="ends early; expected 10 samples as its header says"):
        list(data)
    path.unlink()
    with pytest.raises(LoadingError, match="is not there any more"):
        list(data)


LOADERS = """
import numpy as np
import torch

x = torch.arange(14.).reshape(7, 2)
array = x.numpy()
data_set = torch.utils.data.TensorDataset(x, x[:, 0])
loader = torch.utils.data.DataLoader(data_set, 3)
batches = [(x[:3], 1), (x[3:], 2)]

class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter(x)

def stream_loader():
    return torch.utils.data.DataLoader(Stream(), 3)

def make():
    return loader

def generate():
    yield x[:3]
    yield x[3:]

once = generate()

def fails():
    yield x
    raise RuntimeError("it\\nbroke\\x1b[2J")

def fails_at_once():
    return 1 / 0

number = 3
pairs = {"x": [1, 2]}
text = "x"
scalar = np.float32(3)

def nothing():
    pass
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(LOADERS)
    return str(path)


@pytest.mark.parametrize(
    ("name", "count", "samples"),
    [
        ("x", 3, 7),
        ("array", 3, 7),
        ("data_set", 3, None),
        ("loader", 3, None),
        ("batches", 2, None),
        ("Stream", 3, None),
        ("stream_loader", None, None),
        ("make", 3, None),
        ("generate", None, None),
    ],
)
def test_code_that_gives_batches(name: str, count: int | None, samples: int | None, mine: str) -> None:
    data = load_data(f"{mine}:{name}", batch_size=3, trust=True)
    assert (data.samples, data.count if name != "Stream" else 3) == (samples, count)
    for _ in range(2):
        came = [batch[0] if isinstance(batch, tuple | list) else batch for batch in data]
        assert torch.equal(torch.cat([torch.as_tensor(batch) for batch in came]), torch.arange(14.0).reshape(7, 2))
        assert all(len(batch) > 2 for batch in came[:-1])


def test_an_iterator_can_be_gone_through_once(mine: str) -> None:
    data = load_data(f"{mine}:once", trust=True)
    assert len(list(data)) == 2
    with pytest.raises(LoadingError, match="can be gone through only once; expected a function that returns it"):
        list(data)


def test_code_that_fails_says_where(mine: str) -> None:
    data = iter(load_data(f"{mine}:fails", trust=True))
    next(data)
    with pytest.raises(
        LoadingError, match=r"'fails' of '.*mine.py' failed: RuntimeError: it broke\[2J \(mine.py, line \d+\)$"
    ):
        next(data)
    with pytest.raises(LoadingError, match=r"failed: ZeroDivisionError: division by zero \(mine.py, line \d+\)$"):
        load_data(f"{mine}:fails_at_once", trust=True)


@pytest.mark.parametrize("name", ["number", "pairs", "text", "scalar", "nothing"])
def test_code_that_gives_no_batches(name: str, mine: str) -> None:
    with pytest.raises(LoadingError, match=r"expected an iterable of batches|expected at least one sample"):
        load_data(f"{mine}:{name}", trust=True)


def test_code_is_not_run_without_trust(mine: str) -> None:
    Path(mine).write_text("raise SystemExit")
    with pytest.raises(LoadingError, match="would be run, and is not on the import path; expected --trust with it"):
        load_data(f"{mine}:x")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "data: ''; expected .npy, .npz, a folder of .npy, file.py:loader or package.module:loader"),
        ("none.npy", "data: 'none.npy' is not there; expected an .npy file"),
        ("none", "data: 'none'; expected .npy, .npz, a folder of .npy, file.py:loader or package.module:loader"),
        ("none.py:x", "data: 'none.py' is not there; expected a Python file"),
        ("none.such:x", "data: the module 'none.such' cannot be imported: ModuleNotFoundError: No module named 'none'"),
        (
            "operator:none",
            "data: 'operator' defines no 'none'; expected one of its names, such as attrgetter, itemgetter and methodcaller",
        ),
    ],
)
def test_names_that_stand_for_nothing(spec: str, message: str) -> None:
    with pytest.raises(LoadingError) as error:
        load_data(spec)
    assert str(error.value) == message


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(LoadingError, match=r"holds no .npy file; expected at least one"):
        load_data(str(tmp_path))


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, "3"])
def test_batch_sizes(batch_size: Any) -> None:
    with pytest.raises(LoadingError, match=r"batch_size: .*; expected a whole number of at least 1"):
        load_data("x.npy", batch_size=batch_size)
