"""Writes models to files, with external data beside them: the old model or the new one, never half of one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import onnx
from onnx.external_data_helper import uses_external_data

from leaky.files import replacing, write_atomically
from leaky.onnx.errors import said_of
from leaky.onnx.reading import tensors
from leaky.onnx.tensors import place_of


@dataclass(frozen=True)
class ModelFile:
    """A model out of a file, whose external data, if it has any, are still in the files beside that."""

    proto: onnx.ModelProto
    path: Path

    def save(self, path: str | os.PathLike[str]) -> Path | None:
        """Write the model to a file: see :func:`save`."""
        return save(self, path)


def save(model: ModelFile | onnx.ModelProto, path: str | os.PathLike[str]) -> Path | None:
    """Write a model to a file.

    What external data it has stay external: they are copied to one file beside the model's, which is named after it and
    after the content, so that it is never the file of another model, nor of an older one. Only where a model is saved
    over itself do they stay where they are.

    Returns:
        The file of the external data, without which the model's is not whole; None if none was written.

    Raises:
        ValueError: the external data are not there, or may not be read; or the model is too large for one file (2 GiB,
            external data apart).
        OSError: a file cannot be written. What was at ``path`` is unchanged.
    """
    path = Path(path)
    proto, source = (model.proto, model.path) if isinstance(model, ModelFile) else (model, None)
    external = list(_external(proto))
    if not external or (source is not None and path.exists() and path.samefile(source)):
        write_atomically(path, _serialised(proto))
        return None
    with said_of(f"{source or 'model'}: its external data cannot be copied"):
        places = [_Place(*place_of(tensor, None if source is None else source.parent)) for tensor in external]
    starts, digest = _arranged(places)
    data = path.with_name(f"{path.name}.{digest}.data")
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for tensor, place in zip(_external(copy), places, strict=True):
        del tensor.external_data[:]
        for key, value in (("location", data.name), ("offset", starts[place]), ("length", place.length)):
            tensor.external_data.add(key=key, value=str(value))
    content, was_there = _serialised(copy), data.exists()
    try:
        with replacing(data) as written, written.open("wb") as stream:
            _copy(starts, stream)
        write_atomically(path, content)
    except BaseException:
        if not was_there:
            data.unlink(missing_ok=True)
        raise
    return data


class _Place(NamedTuple):
    """A run of bytes in a file."""

    file: Path
    offset: int
    length: int


def _external(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for tensor in tensors(proto):
        parts = [tensor.values, tensor.indices] if isinstance(tensor, onnx.SparseTensorProto) else [tensor]
        yield from (part for part in parts if uses_external_data(part))


def _serialised(proto: onnx.ModelProto) -> bytes:
    with said_of("model: too large for one file, as it holds its weights itself; expected them in external data"):
        content: bytes = proto.SerializeToString()
        return content


# The unit in which files are mapped into memory: where in such a unit its data began, a tensor's data begin again.
_PAGE = 4096


def _arranged(places: list[_Place]) -> tuple[dict[_Place, int], str]:
    """Return where in a new file the data go, those that several tensors share once, and a digest of that file."""
    starts: dict[_Place, int] = {}
    digest, end = hashlib.sha256(), 0
    for place in dict.fromkeys(places):
        starts[place] = end + (place.offset - end) % _PAGE
        digest.update(bytes(starts[place] - end))
        for piece in _pieces(place):
            digest.update(piece)
        end = starts[place] + place.length
    return starts, digest.hexdigest()[:12]


def _copy(starts: dict[_Place, int], stream: BinaryIO) -> None:
    for place, start in starts.items():
        stream.write(bytes(start - stream.tell()))
        stream.writelines(_pieces(place))


def _pieces(place: _Place) -> Iterator[bytes]:
    """Yield the bytes of a run, some at a time."""
    with place.file.open("rb") as stream:
        stream.seek(place.offset)
        left = place.length
        while left:
            piece = stream.read(min(left, 1 << 20))
            if not piece:
                raise ValueError(f"{place.file}: it became shorter while it was read")
            left -= len(piece)
            yield piece
