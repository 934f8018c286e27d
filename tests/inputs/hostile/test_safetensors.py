"""Weights in .safetensors."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from leaky.inputs.loading import LoadingError, load_model

Load = Callable[[Path], Any]
Complaint = Callable[[Load, Path], str]
Refused = Callable[..., int]
State = dict[str, torch.Tensor]


@pytest.mark.usefixtures("bounded")
def test_spoilt_files(tmp_path: Path, state: State, weights: Load, refused: Refused) -> None:
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    assert refused(weights, path, [path], 10_000) > 6_000


def safetensors_of(path: Path, entries: object, content: bytes = bytes(16), length: int | None = None) -> Path:
    text = json.dumps(entries).encode() if not isinstance(entries, bytes) else entries
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + content)
    return path


def entry(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("entries", "length"),
    [
        ({"a": entry([4], 0, 16), "b": entry([4], 0, 16)}, None),
        ({"a": entry([2], 0, 8), "b": entry([3], 4, 16)}, None),
        ({"a": entry([2**40, 2**40], 0, 16)}, None),
        ({"a": entry([2**32, 2**32], 0, 16)}, None),
        ({"a": entry([4], 0, 2**62)}, None),
        ({"a": entry([-4], 0, 16)}, None),
        ({"a": entry([4], 16, 0)}, None),
        ({"a": entry([4], 0, 16, "F33")}, None),
        ({"a": entry([2], 0, 8)}, None),
        ({"a": [1, 2]}, None),
        ([], None),
        ({}, None),
        (b"[" * 100_000, None),
        (b"{" + b'"a":' * 50_000, None),
        ({"a": entry([4], 0, 16)}, 2**63),
        ({"a": entry([4], 0, 16)}, 2**64 - 1),
        ({"a": entry([4], 0, 16)}, 99_000_000),
        ({"a": entry([4], 0, 16)}, 0),
        (b"", None),
    ],
)
def test_files_that_claim_too_much(
    entries: object, length: int | None, tmp_path: Path, weights: Load, complaint: Complaint
) -> None:
    assert complaint(weights, safetensors_of(tmp_path / "w.safetensors", entries, length=length))


def test_weights_beyond_the_cap(tmp_path: Path, state: State, factory: str) -> None:
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(LoadingError, match="; expected at most 500 bytes"):
        load_model(str(tmp_path / "w.safetensors"), network=factory, trust=True, max_memory=500)


def test_names_are_text(nasty: str, tmp_path: Path, state: State, weights: Load, complaint: Complaint) -> None:
    save_file({nasty: torch.zeros(2), **state}, tmp_path / "w.safetensors")
    assert "1 tensor that the network has not (" in complaint(weights, tmp_path / "w.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_file_that_is_not_there(tmp_path: Path, weights: Load, complaint: Complaint) -> None:
    assert complaint(weights, tmp_path / "none.safetensors")
