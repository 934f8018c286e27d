"""Weights of a PyTorch network out of a file: tensors and nothing else, and nothing is run."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from leaky.inputs.loading.archive import members
from leaky.inputs.loading.memory import check_description, check_size
from leaky.inputs.loading.pickled import ForeignObjectError, storages
from leaky.inputs.loading.problem import LoadingError, quoted, reading
from leaky.torch.rewriting.restoring import restore
from leaky.torch.slopes import KEY, PLACES, Record, by_path, compared, record_of
from leaky.user_code import in_one_line
from leaky.wording import counted

# Where checkpoints of training loops keep the weights.
_NESTED = ("state_dict", "model_state_dict", "model")

# What wrappers put before every name: DataParallel, torch.compile, Lightning's usual attribute.
_WRAPPINGS = ("module.", "_orig_mod.", "model.")

_REMEDY = "expected weights as torch.save(model.state_dict(), …) writes them"


@dataclass(frozen=True)
class Weights:
    """What a file holds: tensors by name, and what it says of the negative slopes that they were made for."""

    tensors: dict[str, Tensor]
    record: Record


def read_weights(path: Path, max_memory: int, argument: str = "model") -> Weights:
    """Return the weights of a file. They lie in the file, mapped into memory, and are read when they are used.

    Raises:
        LoadingError: the file is too large, damaged, or holds anything but tensors and plain values.
    """
    what = f"{argument}: {str(path)!r}"
    with reading(what):
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
    check_size(what, size, max_memory, " (--max-memory)")
    if path.suffix.lower() == ".safetensors":
        check_description(what, int.from_bytes(start, "little"), max_memory)
        return _safetensors(path, what)
    if not start.startswith(b"PK\3\4"):
        raise LoadingError(f"{what} is no file of PyTorch 1.6 or later; {_REMEDY}")
    _check_torch_file(path, what, size, max_memory)
    with reading(what), warnings.catch_warnings(action="ignore"):
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return _weights(loaded, what)


def _safetensors(path: Path, what: str) -> Weights:
    try:
        from safetensors import safe_open
    except ImportError:
        raise LoadingError(
            f"{what} cannot be read; expected safetensors, as pip install safetensors gives it"
        ) from None
    # The library itself compares each tensor's shape, type and place with the file's size, and allows no overlap.
    with reading(what), warnings.catch_warnings(action="ignore"), safe_open(path, "pt", device="cpu") as file:
        names = list(file.keys())
        state = {name: file.get_tensor(name) for name in names}
        claimed = file.metadata() or {}
    notes: dict[str, dict[str, Any]] = defaultdict(dict)
    for key in (KEY, PLACES):
        for where, own in _by_path(claimed.get(key, "null")).items():
            notes[where][key] = own
    return Weights(_weights(state, what).tensors, record_of(notes))


def _by_path(claimed: str) -> dict[str, Any]:
    """Return what the metadata of a ``.safetensors`` say; nothing if it makes no sense."""
    try:
        known = json.loads(claimed)
    except (ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _check_torch_file(path: Path, what: str, size: int, max_memory: int) -> None:
    """Look through a file of ``torch.save`` before PyTorch does, which believes the sizes that it finds.

    Raises:
        LoadingError: its records overlap, are compressed or too large, or its pickle does more than name tensors.
    """
    found = members(path, what, max_memory)
    with reading(what):
        # The reader that torch.load uses, since two readers of one archive may find two things in it.
        archive: Any = torch._C.PyTorchFileReader(str(path))
        names = archive.get_all_records()
        if len(names) != len(found) or len(set(names)) != len(names):
            raise LoadingError(f"{what} has an ambiguous directory; {_REMEDY}")
        if "constants.pkl" in names:
            raise LoadingError(f"{what} is TorchScript, which is code; {_REMEDY}")
        places = sorted((archive.get_record_offset(name), archive.get_record_size(name)) for name in names)
        if any(start + length > after for (start, length), (after, _) in pairwise([*places, (size, 0)])):
            raise LoadingError(f"{what} has records that overlap or are compressed; {_REMEDY}")
        for name in names:
            if not name.startswith("data/"):
                check_description(what, archive.get_record_size(name), max_memory)
        try:
            needed = storages(archive.get_record("data.pkl"))
        except ForeignObjectError as error:
            raise LoadingError(f"{what} holds {quoted(str(error))}, which is no tensor; {_REMEDY}") from None
        for key, length in needed.items():
            if archive.get_record_size(f"data/{key}") != length:
                raise LoadingError(f"{what} holds {quoted(key)} of a size that it does not claim; {_REMEDY}")


def _weights(loaded: object, what: str) -> Weights:
    """Return the dictionary of tensors that was loaded, or the one in a training loop's checkpoint."""
    candidates = [loaded]
    if isinstance(loaded, dict):
        candidates += [dict.get(loaded, name) for name in _NESTED]
    for candidate in candidates:
        # By dict's own methods: a file can set attributes of an OrderedDict. The copy has none.
        state = dict(dict.items(candidate)) if isinstance(candidate, dict) else {}
        if state and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
            return Weights(state, record_of(getattr(candidate, "_metadata", None)))
    raise LoadingError(f"{what} holds no weights by name; {_REMEDY}")


def convert(network: nn.Module, weights: Weights) -> str:
    """Convert a network as the one was that the weights are of, if they say so; say in one line to what, "" if to nothing."""
    prefix = _prefix(weights.tensors, network.state_dict())
    tensors = {name.removeprefix(prefix): value for name, value in weights.tensors.items()}
    return restore(network, weights.record.renamed(partial(_without, prefix)), tensors)


def _without(prefix: str, path: str) -> str:
    return f"{path}.".removeprefix(prefix).removesuffix(".")


def fill(network: nn.Module, weights: Weights, what: str) -> str:
    """Copy weights into a network, each into the parameter or buffer of its name, and say where its slopes are others.

    The names may all have the prefix of a wrapper: ``module.``, ``_orig_mod.``, ``model.``. Of names for the same memory
    one will do.

    Raises:
        LoadingError: names are missing or unknown, or a tensor differs in shape or kind of number.
    """
    own = network.state_dict()
    prefix = _prefix(weights.tensors, own)
    state = {name.removeprefix(prefix): value for name, value in weights.tensors.items()}
    state.update(_shared(state, own))
    _complain(
        what, "of another shape or type", [_misfit(name, state[name], own[name]) for name in own if name in state]
    )
    keys = in_one_line(f"{what} cannot be used", lambda: network.load_state_dict(state, strict=False), LoadingError)
    _complain(what, "missing", [quoted(name) for name in keys.missing_keys])
    _complain(what, "that the network has not", [quoted(name) for name in keys.unexpected_keys])
    return compared(weights.record.renamed(partial(_without, prefix)).slopes, by_path(network))


def _prefix(state: Mapping[str, Tensor], own: Mapping[str, object]) -> str:
    """Return what wrappers have put before every name."""
    for prefix in _WRAPPINGS:
        if all(name.startswith(prefix) for name in state) and not any(name.startswith(prefix) for name in own):
            return prefix + _prefix({name.removeprefix(prefix): value for name, value in state.items()}, own)
    return ""


def _shared(state: Mapping[str, Tensor], own: Mapping[str, object]) -> dict[str, Tensor]:
    """Return the tensors of the names that lack in a file because others of theirs are there, as safetensors has it."""
    there = {_memory(own[name]): value for name, value in state.items() if name in own}
    lacking = {name: _memory(value) for name, value in own.items() if name not in state}
    return {name: there[memory] for name, memory in lacking.items() if memory is not None and memory in there}


def _memory(value: object) -> Any:
    if not isinstance(value, Tensor) or nn.parameter.is_lazy(value) or value.layout != torch.strided:
        return None
    return (value.data_ptr(), value.dtype, value.shape, value.stride()) if value.numel() and not value.is_meta else None


def _misfit(name: str, given: Tensor, own: object) -> str:
    """Return what is wrong with a tensor for its place, or nothing."""
    if not isinstance(own, Tensor) or nn.parameter.is_lazy(own):
        return ""
    if given.shape != own.shape:
        return f"{quoted(name)} {tuple(given.shape)} instead of {tuple(own.shape)}"
    if (given.is_floating_point(), given.is_complex()) != (own.is_floating_point(), own.is_complex()):
        return f"{quoted(name)} {given.dtype} instead of {own.dtype}"
    return ""


def _complain(what: str, verdict: str, names: list[str]) -> None:
    bad = [name for name in names if name]
    if bad:
        some = ", ".join(bad[:3]) + (", …" if len(bad) > 3 else "")
        raise LoadingError(f"{what}: {counted(len(bad), 'tensor')} {verdict} ({some}); expected those of the network")
