"""Rewrites a model's rectifiers where they are written, in the protobuf: all else of the model stays as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from leaky.onnx.errors import said_of
from leaky.onnx.hiding import QUANTISED, inside
from leaky.onnx.naming import own_name, write_out_functions
from leaky.onnx.reading import Part
from leaky.onnx.shapes import inferred
from leaky.onnx.suiting import alpha, slope_for, unsuited
from leaky.onnx.sweeping import sweep
from leaky.onnx.tracing import Found, bodies_of, recognised
from leaky.wording import counted, plain

#: the kinds of sites that can become another rectifier
KINDS = ("relu", "leaky_relu", "prelu", "relu6", "hardtanh", "threshold")


#: what says why sites that are one node, of a kind and of these names, are not to be rewritten; None if they are
Refusal = Callable[[str, list[str]], str | None]


@dataclass(frozen=True)
class Outcome:
    """What became of one site."""

    site: str
    #: the name of its node
    node: str
    form: str
    kind: str
    #: its negative slope, or one for each unit, if it has any
    before: float | tuple[float, ...] | None
    after: float | None
    #: why it stays as it is; nothing if it was rewritten
    reason: str = ""


@dataclass(frozen=True)
class Written:
    """A node as it is written in a model, and where."""

    node: onnx.NodeProto
    #: the main graph or the function that it is in, maybe in a body
    part: Part
    #: version of ONNX's own operators there
    opset: int


def rewrite(
    proto: onnx.ModelProto, model: ir.Model, slope: float | None, refusal: Refusal
) -> tuple[list[Outcome], list[str]]:
    """Rewrite the rectifiers of a model, in place: as LeakyRelu, or as Relu where the slope is 0.

    A node in a function is one thing, however often the function is called.

    Args:
        proto: the model, in which the nodes are rewritten.
        model: the same in onnx-ir, of which nothing is left to use.
        slope: that the rectifiers are to have; None: each keeps its own.
        refusal: of those that are to stay as they are.

    Returns:
        What became of each site, in the order of computation, and what else is to be known.

    Raises:
        ValueError: its functions cannot be written out, in which its sites are found.
    """
    written = _numbered(proto, model)
    write_out_functions(model)
    with inferred(model, {}):
        found = recognised(model)
        sites: dict[int, list[Found]] = {}
        for each in found:
            sites.setdefault(_number(each.node), []).append(each)
        times = Counter(map(_number, model.graph.all_nodes()))
        outcomes = {}
        for number, group in sites.items():
            for outcome in _decided(group, written[number], times[number], slope, refusal):
                outcomes[outcome.site] = outcome
        rewritten = {number: group for number, group in sites.items() if not outcomes[group[0].name].reason}
        for number, group in rewritten.items():
            _become(written[number], _place(group[0]), outcomes[group[0].name].after or 0.0)
    notes = [*_shared(rewritten, written), *_on_doubles(rewritten, written, slope), *_on_all(model, rewritten)]
    return [*(outcomes[each.name] for each in found), *_fused(model)], notes


# Where, in a node's metadata in onnx-ir, the number of the node it was in the file is kept, wherever it is written out.
_NUMBER = "leaky.number"


def _number(node: ir.Node) -> int:
    return int(node.metadata_props[_NUMBER])


def _numbered(proto: onnx.ModelProto, model: ir.Model) -> list[Written]:
    """Return all nodes but calls of functions, and number them in onnx-ir."""
    written: list[Written] = []
    functions = [(model.functions[each.domain, each.name, each.overload].graph, each) for each in proto.functions]
    for graph, part in [(model.graph, proto.graph), *functions]:
        imports = part.opset_import if isinstance(part, onnx.FunctionProto) else proto.opset_import
        opset = max((each.version for each in imports if each.domain in ("", "ai.onnx")), default=1)
        with said_of("not a sound ONNX model"):
            for node, own in _pairs(graph, part):
                if node.op_identifier() not in model.functions:
                    node.metadata_props[_NUMBER] = str(len(written))
                    written.append(Written(own, part, opset))
    return written


def _pairs(graph: ir.Graph, part: Part) -> Iterator[tuple[ir.Node, onnx.NodeProto]]:
    """Yield each node in onnx-ir, and as it is written, in bodies too."""
    for node, own in zip(graph, part.node, strict=True):
        yield node, own
        for attribute in own.attribute:
            written = [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
            for body, inner in zip(bodies_of(node.attributes[attribute.name]), written, strict=True):
                yield from _pairs(body, inner)


def _decided(
    group: list[Found], written: Written, times: int, slope: float | None, refusal: Refusal
) -> Iterator[Outcome]:
    """Yield what is to become of the sites that are one node, which there are so many times."""
    reasons = {found.name: _nature(found) for found in group}
    refused = [refusal(kind, list(reasons)) for kind in dict.fromkeys(found.activation.kind for found in group)]
    for found in group:
        name = found.name
        reasons[name] = reasons[name] or next(filter(None, refused), None) or unsuited(found, slope, written.opset)
    together = _reason_of_all(group, reasons, times, slope)
    for found in group:
        reason, activation = reasons[found.name] or together, found.activation
        after = None if reason else slope_for(found, slope)
        own = own_name(found.node)
        slopes = activation.slope
        before = tuple(slopes.flat) if isinstance(slopes, np.ndarray) else slopes
        yield Outcome(found.name, own, activation.form, activation.kind, before, after, reason)


def _nature(found: Found) -> str:
    """Return why a site is nothing to be rewritten, whoever asks, in a few words; nothing if it is."""
    if found.no_site or (found.activation.general and found.unjudged):
        return found.no_site or found.unjudged
    return "" if found.activation.kind in KINDS else "no rectifier"


def _reason_of_all(group: list[Found], reasons: dict[str, str], times: int, slope: float | None) -> str:
    """Return why sites that are one node stay together, by the reasons of each; nothing if nothing speaks for it."""
    staying = next((name for name, reason in reasons.items() if reason), None)
    if staying is not None:
        return f"one operation with {plain(staying)}, which stays: {reasons[staying]}"
    alike = len(group) == times and len({(_place(found), slope_for(found, slope)) for found in group}) == 1
    return "" if alike else "not the same thing at all calls of its function"


def _place(found: Found) -> int:
    """Return which of its node's inputs is the pre-activation."""
    return next(place for place, value in enumerate(found.node.inputs) if value is found.activation.value)


def _become(written: Written, place: int, slope: float) -> None:
    """Make a node the rectifier of this slope, of one of its inputs."""
    node, operator = written.node, "LeakyRelu" if slope else "Relu"
    taken = onnx.defs.get_schema(operator, written.opset, "").attributes
    names = list(node.input)
    node.op_type, node.input[:] = operator, [names.pop(place)]
    for index in reversed(range(len(node.attribute))):
        if node.attribute[index].name not in taken or node.attribute[index].name == "alpha":
            del node.attribute[index]
    if slope:
        node.attribute.append(onnx.helper.make_attribute("alpha", slope))
    sweep(written.part, names)


def _shared(rewritten: dict[int, list[Found]], written: list[Written]) -> Iterator[str]:
    """Yield a note on each function that is called several times, and has changed for all."""
    calls: dict[str, int] = {}
    for number, group in rewritten.items():
        if len(group) > 1:
            calls[written[number].part.name] = len(group)
    for name, count in calls.items():
        yield f"The function {plain(name)!r} is written once and called {counted(count, 'time')}: it changed for all."


def _on_doubles(rewritten: dict[int, list[Found]], written: list[Written], wanted: float | None) -> Iterator[str]:
    """Yield what is to be known of slopes in float64."""
    slopes: dict[float, int] = {}
    for number, group in rewritten.items():
        if group[0].activation.value.dtype == ir.DataType.DOUBLE:
            slopes[slope_for(group[0], wanted) or 0.0] = written[number].opset
    for slope in slopes:
        if alpha(slope) != slope:
            yield f"float64: an alpha in ONNX is a float32, so that the slope {slope!r} is {alpha(slope)!r}."
    if any(slope and opset not in _DOUBLES for slope, opset in slopes.items()):
        yield "float64: ONNX Runtime runs no LeakyRelu of float64 in the opset of the model, other runtimes may."


# Opsets in which ONNX Runtime (1.31) writes LeakyRelu out in simpler operations where it has no kernel for the type
_DOUBLES = range(16, 21)


def _on_all(model: ir.Model, rewritten: Collection[int]) -> Iterator[str]:
    """Yield what is to be known of the model as a whole."""
    if rewritten and any(node.op_type.startswith(QUANTISED) for node in model.graph.all_nodes()):
        yield "The model is quantised: where the range of the rounding ends at 0, it cuts a leak off."
    if model.functions:
        names = ", ".join(repr(plain(name)) for _, name, _ in model.functions)
        yield f"Functions that are never called are left as they are: {names}."


_RECTIFIERS = {"Relu", "LeakyRelu", "PRelu", "ThresholdedRelu", "Clip"}


def _fused(model: ir.Model) -> Iterator[Outcome]:
    """Yield the rectifiers that are part of larger operations."""
    for node in model.graph.all_nodes():
        for each in dict.fromkeys(inside(node)):
            if each in _RECTIFIERS:
                name, form = own_name(node), f"{each} inside {node.op_type}"
                yield Outcome(name, name, form, "fused", None, None, "part of a larger operation")
