"""Which sites are asked for: by name, or by what a check found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from leaky.checkup import Check, Finding

#: of activations that can be converted, as sites have them
KINDS = ("relu", "leaky_relu", "prelu", "relu6", "hardtanh", "rrelu", "threshold")

#: what names sites: a pattern, a check (its sites with dead units), a finding, or several of these
Sites = str | Check | Finding | Sequence["str | Check | Finding"] | None


class Selection:
    """What is to be converted, and why something is not.

    Args:
        only: which sites; None for all.
        skip: which not.
        kinds: of activations.

    Raises:
        ValueError: a kind is none of those that can be converted.
        TypeError: ``only`` or ``skip`` is of no form known.
    """

    def __init__(self, only: Sites, skip: Sites, kinds: str | Iterable[str]) -> None:
        self._only = None if only is None else _patterns("only", only)
        self._unnamed = "none of its units is dead" if isinstance(only, Check) else "not named by only"
        self._skip = [] if skip is None else _patterns("skip", skip)
        self._kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        for kind in self._kinds:
            if kind not in KINDS:
                raise ValueError(f"kinds: {kind!r}; expected some of {', '.join(KINDS)}")

    def refusal(self, kind: str, names: Iterable[str]) -> str | None:
        """Return why the sites of one module or call are not to be converted, or None if they are."""
        names = list(names)
        if kind not in self._kinds:
            return f"only when asked for (kinds: {kind})"
        if any(_matches(name, self._skip) for name in names):
            return "named by skip"
        if self._only is not None and not any(_matches(name, self._only) for name in names):
            return self._unnamed
        return None


def _patterns(argument: str, sites: Any) -> list[str]:
    match sites:
        case str():
            return [sites]
        case Check():
            return [name for name, seen in sites.judged.items() if seen.dead.any()]
        case Finding():
            return ["*" if sites.site is None else sites.site]
        case list() | tuple() | set() | frozenset():
            return [pattern for each in sites for pattern in _patterns(argument, each)]
    kind = type(sites).__name__
    raise TypeError(f"{argument}: {kind}; expected a pattern of site names, a Check, a Finding, or a list of these")


def _matches(name: str, patterns: list[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)
