"""Whether a tensor in a model file is as large as it says, and lies where it may."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx.external_data_helper import uses_external_data

from leaky.wording import plain

_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")

_KEYS = {"location", "offset", "length", "checksum", "basepath"}
_MOST_DIMENSIONS = 64  # NumPy's own limit


def check_tensor(tensor: onnx.TensorProto | onnx.SparseTensorProto, folder: Path | None, max_memory: int | None) -> int:
    """Return the bytes that a tensor takes, after checking that they are really there.

    Args:
        tensor: as parsed.
        folder: of the model, to which external data are confined; None if there is none.
        max_memory: bytes it may take.

    Raises:
        ValueError: with the tensor's name, and what is wrong.
    """
    try:
        if isinstance(tensor, onnx.SparseTensorProto):
            name = tensor.values.name
            check_tensor(tensor.values, folder, max_memory)
            check_tensor(tensor.indices, folder, max_memory)
            # ONNX Runtime makes a dense tensor of it
            return _declared(tensor.values.data_type, tensor.dims, max_memory)
        name = tensor.name
        size = _declared(tensor.data_type, tensor.dims, max_memory)
        if uses_external_data(tensor):
            if (length := place_of(tensor, folder)[2]) != size:
                dims = list(tensor.dims)
                raise ValueError(f"its shape {dims} takes {size:,} bytes, and its external data have {length:,}")
        else:
            _check_embedded(tensor, size)
        return size
    except ValueError as error:
        raise ValueError(f"tensor {plain(name)!r}: {error}") from None


def _bits(data_type: int) -> int:
    """Return the bits of an element; those of a string are at least its length prefix."""
    try:
        kind = ir.DataType(data_type)
        return 8 if kind == ir.DataType.STRING else kind.bitwidth
    except (ValueError, TypeError):
        raise ValueError(f"no such element type as {data_type}") from None


def _declared(data_type: int, dims: list[int], max_memory: int | None) -> int:
    if len(dims) > _MOST_DIMENSIONS:
        raise ValueError(f"it has {len(dims):,} dimensions")
    if any(dim < 0 for dim in dims):
        raise ValueError(f"its shape {list(dims)} has a negative dimension")
    size = -(-math.prod(dims) * _bits(data_type) // 8)
    if max_memory is not None and size > max_memory:
        raise ValueError(f"its shape {list(dims)} takes {size:,} bytes, more than the {max_memory:,} allowed")
    return size


def _check_embedded(tensor: onnx.TensorProto, size: int) -> None:
    count = math.prod(tensor.dims)
    if tensor.data_type == onnx.TensorProto.STRING:
        there, expected = len(tensor.string_data), count
    elif tensor.HasField("raw_data"):
        there, expected = len(tensor.raw_data), size
    else:
        there = sum(len(getattr(tensor, field)) for field in _FIELDS)
        bits = _bits(tensor.data_type)
        complex_ = tensor.data_type in (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128)
        expected = (
            2 * count if complex_ else size if bits < 8 else count
        )  # below 8 bits, one entry holds a byte's worth
    if there != expected:
        raise ValueError(f"its shape {list(tensor.dims)} takes {expected:,} values or bytes, and it has {there:,}")


def place_of(tensor: onnx.TensorProto, folder: Path | None) -> tuple[Path, int, int]:
    """Return the file in which a tensor's external data are, where they begin and how many bytes they are.

    Args:
        tensor: with external data.
        folder: to which they are confined.

    Raises:
        ValueError: if they are not there, or may not be.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if len(entries) < len(tensor.external_data) or not entries.keys() <= _KEYS:
        raise ValueError(f"external data with {plain(', '.join(e.key for e in tensor.external_data))[:80]!r}")
    file = _confined(entries.get("location", ""), folder)
    offset = _number("offset", entries.get("offset", "0"))
    length = _number("length", entries.get("length", str(_declared(tensor.data_type, list(tensor.dims), None))))
    if offset + length > (there := file.stat().st_size):
        raise ValueError(f"external data from byte {offset:,} to {offset + length:,} of a file of {there:,}")
    return file, offset, length


def _number(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"the {key} of its external data is no number of bytes: {plain(text)[:40]!r}")
    return int(text)


def _confined(location: str, folder: Path | None) -> Path:
    """Return the file at a place relative to the folder, if it does not lead out of it."""
    shown = repr(plain(location)[:100])
    if folder is None:
        raise ValueError(f"external data in {shown}, and a model in memory has no folder: read it by its path")
    parts = Path(location).parts
    if not parts or "\0" in location or "\\" in location or Path(location).is_absolute() or ".." in parts:
        raise ValueError(f"external data in {shown}, which is no place below the model's folder")
    file = folder / location
    try:
        inside = file.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        raise ValueError(f"external data in {shown}, and there is no such file") from None
    if not inside:
        raise ValueError(f"external data in {shown}, which leads out of the model's folder")
    if not file.is_file():
        raise ValueError(f"external data in {shown}, which is no file")
    return file
