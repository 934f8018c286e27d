"""The rectifiers of a PyTorch network, by what would have to be changed for each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import nn

from leaky.conversion.errors import ConversionError
from leaky.conversion.passes import Passes
from leaky.conversion.result import Left
from leaky.conversion.selection import KINDS
from leaky.evidence import Site
from leaky.inputs.errors import InputError
from leaky.inputs.feeding import Feed, advised
from leaky.torch.rewriting import bound, classes, modules, places
from leaky.torch.rewriting.hidden import hidden
from leaky.torch.rewriting.places import Place
from leaky.torch.rewriting.reach import reached
from leaky.torch.rewriting.recording import Origin, Recorder
from leaky.torch.watch import Watch, undisturbed
from leaky.torch.watch.names import cleaned
from leaky.user_code import in_one_line

_REPLACED = "its code was replaced on the module itself: what runs shows only on data, and none are given"
_DOUBTFUL = "whether it is an activation shows only on data, and none are given"


@dataclass
class Candidate:
    """One module, function held by a module, or call: all sites that change if it is changed."""

    origin: Origin
    kind: str
    form: str
    path: str
    #: the activation as it is
    before: str
    slope: float | None = None
    #: why it cannot be converted, if so
    reason: str | None = None
    sites: list[str] = field(default_factory=list)

    @property
    def how(self) -> str:
        """What would be changed."""
        if self.origin.attribute is not None:
            return "attribute"
        return "module" if self.origin.place is None else "call"


def found(root: nn.Module, batches: Passes | None) -> tuple[list[Candidate], list[Left], dict[str, Site]]:
    """Return the rectifiers of a network, what cannot be looked at, and the sites seen, in order of the forward pass.

    Without data the rectifiers are those that its modules and their code show. With data they are the sites that are
    seen, and those of the others that can be nothing else.
    """
    classes.refresh(root)
    candidates: dict[object, Candidate] = {}
    names: Counter[str] = Counter()
    written = _Written(root)
    left = [*written.left, *(written.unseen if batches is None else [])]  # data show what these hold
    sites: dict[str, Site] = {}
    if batches is not None:
        for site, origin in _seen(root, batches):
            names[site.name.partition("[")[0]] += 1
            sites[site.name] = site
            if site.kind not in KINDS:
                continue
            if origin is None:
                left.append(Left(site.name, site.module, site.form, written.reason(site)))
                continue
            known = written.candidates.pop(origin.key, None) or candidates.get(origin.key)
            candidate = candidates.setdefault(origin.key, known or _candidate(origin, site))
            if candidate.reason in (_DOUBTFUL, _REPLACED):
                candidate.reason = None if site.judged else f"no activation: {site.note}"
                candidate.origin = origin
            if (
                known is None or candidate.how != "module"
            ):  # a PReLU that was frozen is a Leaky ReLU, however it is called
                candidate.kind, candidate.form = site.kind, site.form
            if candidate.how != "module" and isinstance(site.slope, float):
                candidate.before, candidate.slope = f"{site.kind}({site.slope:g})", site.slope
            candidate.sites.append(site.name)
    for key, candidate in written.candidates.items():
        base = _name(candidate)
        candidate.sites.append(f"{base}[{names[base]}]" if names[base] else base)
        names[base] += 1
        if batches is not None and candidate.reason in (_DOUBTFUL, _REPLACED):
            candidate.reason = "no activation was seen there on the data"
        candidates[key] = candidate
    return list(candidates.values()), left, sites


def _name(candidate: Candidate) -> str:
    """Return the name that a site has, before it is seen."""
    path = candidate.path
    if candidate.how == "module" and path:
        return path
    call = candidate.origin.place.call if candidate.origin.place else candidate.form.removeprefix("nn.").lower()
    return f"{path}.{call}()" if path else f"{call}()"


def _candidate(origin: Origin, site: Site) -> Candidate:
    """Return a candidate that only data have shown."""
    reason = None if site.judged else f"no activation: {site.note}"
    return Candidate(origin, site.kind, site.form, site.module, site.kind, None, reason)


def _method(cls: type, place: Place) -> str:
    """Return what method of a class a place is in; "" for other functions."""
    here = reached(cls).get(place.function)
    return here.name if here is not None else ""


class _Written:
    """What the modules of a network, and their code, show without data."""

    def __init__(self, root: nn.Module) -> None:
        self.candidates: dict[object, Candidate] = {}
        self.left: list[Left] = []
        #: code that may hold rectifiers, and cannot be read
        self.unseen: list[Left] = []
        self._opaque: dict[str, str] = {}
        for full, module in root.named_modules():
            path = cleaned(full)
            if self._within(path) is not None:
                continue
            reason = modules.opaque(module)
            if reason is not None:
                self._opaque[path] = reason
                self.left.append(Left(path or "the model", path, f"nn.{type(module).__name__}", reason))
            elif (known := modules.kind_of(module)) is not None:
                kind, form = known
                self._add(Candidate(Origin(module), kind, form, path, modules.written(module)))
            else:
                self._look(module, path)

    def reason(self, site: Site) -> str:
        """Return why a site cannot be converted that is no call in its module's code."""
        return self._within(site.module) or f"{site.source or 'its code'}: no call that can be exchanged there"

    def _within(self, path: str) -> str | None:
        return next((why for each, why in self._opaque.items() if not each or f"{path}.".startswith(f"{each}.")), None)

    def _look(self, module: nn.Module, path: str) -> None:
        for attribute, (kind, form, own) in modules.functions_held(module).items():
            before = kind if own is None else f"{kind}({own:g})"
            self._add(Candidate(Origin(module, attribute), kind, form, path, before, own))
        cls = classes.origin(module)
        slopes = dict(zip(classes.places(module), getattr(module, "leaky_slopes", ()), strict=True))
        converted = {(place.function, place.index): place for place in slopes}
        written: list[tuple[Place, str | None]] = [(place, None) for place in places.plain_places(cls)]
        written += [(place, _DOUBTFUL) for place in places.doubtful_places(cls)]
        replaced = bound.replaced(module)
        written = [
            (place, _REPLACED if "forward" in replaced or _method(cls, place) in replaced else reason)
            for place, reason in written
        ]
        # In the order of the code, whatever is converted: names stay what they were.
        for place, reason in written:
            known = converted.pop((place.function, place.index), None)
            self._call(module, path, known or place, slopes[known] if known else None, None if known else reason)
        for place in converted.values():  # which only data had shown
            self._call(module, path, place, slopes[place])
        for form, reason in hidden(module):
            # The hooks of the network itself run after its forward pass: data do not show them.
            told = self.left if reason.startswith("a hook") and not path else self.unseen
            told.append(Left(path or "the model", path, form, reason))

    def _call(self, module: nn.Module, path: str, place: Place, slope: float | None, reason: str | None = None) -> None:
        kind = "leaky_relu" if slope else place.kind
        before = f"{kind}({slope:g})" if slope else kind
        self._add(Candidate(Origin(module, None, place), kind, place.form, path, before, slope, reason))

    def _add(self, candidate: Candidate) -> None:
        self.candidates[candidate.origin.key] = candidate


def _seen(root: nn.Module, batches: Passes) -> list[tuple[Site, Origin | None]]:
    """Run the network on the data; return the sites, in order of the forward pass, and what each is a call of."""
    recorder, feed, samples = Recorder(root), Feed(root), 0
    with undisturbed(root), torch.no_grad(), recorder.following():
        watch = Watch(root, inputs=recorder.take)
        with watch.watching():
            for number, batch in enumerate(batches):
                call = feed(batch)
                with advised(batch):
                    in_one_line(f"data: batch {number} failed", partial(call.on, root), InputError)
                samples += batch.samples
    if not samples:
        raise ConversionError("data: no samples; expected at least one")
    names = watch.sites
    return [pair for name, pair in recorder.sites.items() if name in names]
