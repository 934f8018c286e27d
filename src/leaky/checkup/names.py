"""The names of sites in checks that are to be merged: names are given as sites are met, which need not be in one order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from leaky.checkup.seen import Seen
from leaky.evidence import Identity, Site, unused

if TYPE_CHECKING:
    from leaky.checkup.result import Check


def named_alike(checks: list[Check]) -> list[Check]:
    """Return the checks with each site under one name. Where they do not agree, sites are numbered in the order of the code.

    What in checks of one network would be one call, but differs, goes by one name too.
    """
    names: dict[Identity, set[str]] = {}
    owners: dict[str, set[Identity]] = {}
    for check in checks:
        for name, seen in check.sites.items():
            names.setdefault(seen.site.identity, set()).add(name)
            owners.setdefault(name, set()).add(seen.site.identity)
    torn = {who[0] for who, called in names.items() if len(called) > 1 or len(owners[min(called)]) > 1}
    if not torn:
        return checks
    alias = _one_call(checks)
    given = {who: min(called) for who, called in names.items() if who[0] not in torn}
    for who in sorted(names.keys() - given.keys(), key=_in_code):
        first = alias.get(who, who)
        given[who] = given[first] if first in given else unused(str(who[0]), given.values())
    return [replace(check, sites=_renamed(check.sites.values(), given)) for check in checks]


def _renamed(sites: Iterable[Seen], given: dict[Identity, str]) -> dict[str, Seen]:
    named = (replace(seen, site=replace(seen.site, name=given[seen.site.identity])) for seen in sites)
    return {seen.site.name: seen for seen in named}


def _in_code(identity: Identity) -> tuple[object, ...]:
    name, line, *rest = (*identity, None)
    return (str(name), line or (), *rest)


def _one_call(checks: list[Check]) -> dict[Identity, Identity]:
    """Return the first for each of several that are called in one line, fed by one layer, and of which no check has two."""
    calls: dict[Identity, set[Identity]] = {}
    several: set[Identity] = set()
    for check in checks:
        here = Counter(call for seen in check.sites.values() if (call := _call(seen.site)))
        several |= {call for call, count in here.items() if count > 1}
        for seen in check.sites.values():
            if call := _call(seen.site):
                calls.setdefault(call, set()).add(seen.site.identity)
    told = (sorted(each, key=_in_code) for call, each in calls.items() if call not in several)
    return {who: first for first, *others in told for who in others}


def _call(site: Site) -> Identity | None:
    """Return the line of a site and the layer that feeds it; None where they, or its units, may be told amiss."""
    return (*site.key[:2], site.fed_by) if site.key and site.fed_by and site.axis is not None else None
