"""The negative slopes of a network, and how they travel with its weights.

A ``state_dict`` holds no slopes, so weights made for one load silently into another. Modules of ours write theirs into its
``_metadata``, beside the version numbers that PyTorch keeps there: no key is added, and ``torch.save`` and
``torch.load(weights_only=True)`` carry it along.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.compiler import is_dynamo_compiling

from leaky.wording import counted, listing, plain

#: a module's negative slope; or those of the calls in its forward, in their order
Slopes = float | list[float]

#: by what a module's slopes go in the metadata of a state_dict
KEY = "negative_slope"

#: and the places in its code of the calls that have them
PLACES = "negative_slope_places"

#: what stands for the slopes of a PReLU that are not learned any more, which are in its weight, and for the lack of any
FROZEN, RELU = "frozen", "relu"

# A file may claim anything: more calls than this are not in one forward.
_MOST_CALLS = 256

# Of places, of kinds of places, of the letters of a name and of slopes that a message lists.
_MOST_SHOWN, _LONGEST_NAME = 3, 60

_LOAD = nn.Module.load_state_dict.__code__


class SlopeWarning(UserWarning):
    """Weights were loaded that were made for other negative slopes than the network has."""


def slopes(model: nn.Module) -> dict[str, Slopes]:
    """Return the negative slope of every Leaky ReLU in a network, by the path of its module.

    A module is a ``torch.nn.LeakyReLU``, which has one slope, or one in whose forward calls were converted, which has a
    list of them. PReLU's slopes are weights, and are not among them.

    Args:
        model: the network itself, or within torch.compile, DataParallel or DistributedDataParallel.
    """
    from leaky.torch.watch import unwrapped
    from leaky.torch.watch.names import cleaned

    return {cleaned(path): own for path, own in by_path(unwrapped(model)).items()}


def by_path(model: nn.Module) -> dict[str, Slopes]:
    """Return the same by the paths that a state_dict uses, which name all wrappers."""
    modules = model.named_modules(remove_duplicate=False)
    return {path: own for path, module in modules if (own := slopes_of(module)) is not None}


def slopes_of(module: nn.Module) -> Slopes | None:
    """Return a module's own slopes, or None if it has none."""
    calls = getattr(module, "leaky_slopes", None)
    if calls is not None:
        return [float(slope) for slope in calls]
    return float(module.negative_slope) if isinstance(module, nn.LeakyReLU) else None


class KeepsSlopes(nn.Module):
    """A module whose slopes travel with its weights, and which says where those were made for others."""

    # These names are mixed into classes of users' own, which may have any others.
    #: whether a SlopeSchedule is changing them: what is compiled meanwhile should do for any
    leaky_warming = False
    #: whether they are those of a PReLU, frozen
    leaky_frozen = False

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, "_metadata", None)
        if metadata is not None:
            metadata[prefix[:-1]].update(notes_of(self))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *others)
        _warn_of_others(prefix[:-1])


@dataclass(frozen=True)
class Record:
    """What weights say of the slopes of the network that they are of, by the paths of its modules."""

    slopes: Mapping[str, Slopes]
    #: of the calls that have those in a list, as fields of :class:`leaky.torch.rewriting.places.Place`
    places: Mapping[str, list[list[Any]]]
    #: PReLUs whose slopes are learned no more, and ReLUs, which may have been Leaky ReLUs before
    frozen: frozenset[str] = frozenset()
    relus: frozenset[str] = frozenset()

    def renamed(self, rename: Callable[[str], str]) -> Record:
        """Return the same for a network of whose modules each has another path."""
        return Record(
            {rename(path): slopes for path, slopes in self.slopes.items()},
            {rename(path): rows for path, rows in self.places.items()},
            frozenset(map(rename, self.frozen)),
            frozenset(map(rename, self.relus)),
        )


def notes_of(module: nn.Module) -> dict[str, Any]:
    """Return what of a module goes in the metadata of a state_dict for its conversion to be made again."""
    if getattr(module, "leaky_frozen", False) or type(module) is nn.ReLU:
        return {KEY: RELU if type(module) is nn.ReLU else FROZEN}
    own, places = slopes_of(module), getattr(type(module), "leaky_places", ())
    notes: dict[str, Any] = {} if own is None else {KEY: own}
    return notes | ({PLACES: [place.fields for place in places]} if places else {})


def record_of(metadata: object) -> Record:
    """Return what the metadata of a state_dict say. They may come from a file: what makes no sense is left out."""
    entries = _texts(metadata)
    notes = {path: _texts(own) for path, own in entries.items()}
    claimed = {path: own.get(KEY) for path, own in notes.items()}
    frozen, relus = (frozenset(path for path, own in claimed.items() if own == word) for word in (FROZEN, RELU))
    slopes = understood(claimed) | dict.fromkeys(relus, 0.0)
    rows: dict[str, Any] = {path: own.get(PLACES) for path, own in notes.items()}
    places = {path: each for path, each in rows.items() if _is_rows(each, slopes.get(path))}
    return Record(slopes, places, frozen, relus)


def _texts(entries: object) -> dict[str, Any]:
    # By dict's own methods: a file can set attributes of an OrderedDict.
    found = dict.items(entries) if isinstance(entries, dict) else ()
    return {name: value for name, value in found if isinstance(name, str)}


def _is_rows(rows: object, slopes: Slopes | None) -> bool:
    return (
        type(rows) is list
        and isinstance(slopes, list)
        and len(rows) == len(slopes)
        and all(type(row) is list for row in rows)
    )


def warmed(input: Tensor, slope: float, inplace: bool) -> Tensor | None:
    """Return the Leaky ReLU in operations that are compiled once for slopes of any value, or None if nothing is compiled.

    PyTorch's own takes its slope for a constant: it would be compiled anew for each.
    """
    if not is_dynamo_compiling():
        return None
    result = torch.relu(input) if slope == 0 else torch.where(input > 0, input, input * slope)
    return input.copy_(result) if inplace else result


def _warn_of_others(path: str) -> None:
    """Warn once for a whole network, when the module that is loaded is its first of ours.

    A module is not told of what network it is a part: the call of ``load_state_dict`` that is running knows.
    """
    frame: FrameType | None = sys._getframe()
    level = 1
    while frame is not None and frame.f_code is not _LOAD:
        frame, level = frame.f_back, level + 1
    if frame is None:
        return
    network, metadata = frame.f_locals["self"], frame.f_locals["metadata"]
    modules = network.named_modules(remove_duplicate=False)
    if path == next((path for path, module in modules if isinstance(module, KeepsSlopes)), None):
        differences = compared(recorded(metadata), by_path(network))
        if differences:
            warnings.warn(differences, SlopeWarning, stacklevel=level + 1)


def recorded(metadata: object) -> dict[str, Slopes]:
    """Return the slopes alone that the metadata of a state_dict say."""
    return dict(record_of(metadata).slopes)


def understood(claimed: object) -> dict[str, Slopes]:
    """Return what of a mapping from paths to slopes makes sense."""
    return {path: own for path, own in _texts(claimed).items() if _is_slopes(own)}


def _is_slopes(value: object) -> bool:
    many = type(value) is list
    numbers: list[Any] = value if many else [value]  # type: ignore[assignment]  # mypy does not read type() is
    return len(numbers) <= _MOST_CALLS and all(type(each) is float and each == each for each in numbers)  # noqa: PLR0124


def compared(made_for: Mapping[str, Slopes], here: Mapping[str, Slopes]) -> str:
    """Say in one line where weights were made for other slopes than a network has; "" if nowhere.

    Where the network has no Leaky ReLU, it has a slope of 0. Of what the weights say nothing is said.
    """
    places: dict[tuple[str, str], list[str]] = {}
    for path, before in made_for.items():
        now = here.get(path, 0.0)
        if not _agree(before, now):
            kind = _text(before), _text(now) if path in here else "none"
            places.setdefault(kind, []).append(path)
    if not places:
        return ""
    lines = [f"{before} where it has {now} ({_at(paths)})" for (before, now), paths in places.items()]
    more = [f"{counted(len(lines) - _MOST_SHOWN, 'other')}"] if len(lines) > _MOST_SHOWN else []
    return f"weights made for another negative slope than the network's: {listing([*lines[:_MOST_SHOWN], *more])}"


def _agree(before: Slopes, now: Slopes) -> bool:
    """Compare slopes; calls that could not be told apart have one slope among them."""
    a, b = (each if isinstance(each, list) else [each] for each in (before, now))
    return a == b if len(a) == len(b) else set(a) == set(b)


def _text(slopes: Slopes) -> str:
    distinct = list(dict.fromkeys(slopes if isinstance(slopes, list) else [slopes]))
    shown = [repr(slope).removesuffix(".0") for slope in distinct[:_MOST_SHOWN]]
    return ", ".join(shown) + (", …" if len(distinct) > _MOST_SHOWN else "")


def _at(paths: list[str]) -> str:
    names = [plain(path)[:_LONGEST_NAME] or "the network itself" for path in paths]
    more = [counted(len(names) - _MOST_SHOWN, "other place")] if len(names) > _MOST_SHOWN else []
    return listing([*names[:_MOST_SHOWN], *more])
