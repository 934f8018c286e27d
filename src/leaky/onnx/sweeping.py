"""Takes out of a model the constants that nothing uses any more: ONNX Runtime warns of them at each start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import onnx

from leaky.onnx.reading import Part, within


def sweep(part: Part, names: Collection[str]) -> None:
    """Take values that have lost a use out of a graph or function, if they have no other, and what only they came from.

    Args:
        part: with the bodies in it.
        names: of the values. The inputs and outputs of graphs stay, of whatever use they are.
    """
    bodies = list(within(part))
    uses = Counter(name for body in bodies for node in body.node for name in node.input)
    uses.update(name for body in bodies for name in _ends(body))
    loose = list(names)
    while loose:
        name = loose.pop()
        for body in bodies if not uses[name] else []:
            for gone in _without(body, name, uses):
                uses.subtract(gone.input)
                loose += gone.input


def _ends(body: Part) -> Iterator[str]:
    for value in (*body.input, *body.output):
        yield value if isinstance(value, str) else value.name


def _without(body: Part, name: str, uses: Counter[str]) -> Iterator[onnx.NodeProto]:
    """Take the maker of a value, if it makes nothing else of use, out of a body; yield it if it is a node."""
    for index, node in enumerate(body.node):
        if name in node.output and not any(uses[each] for each in node.output):
            gone = onnx.NodeProto()
            gone.CopyFrom(node)
            del body.node[index]
            yield gone
            break
    if isinstance(body, onnx.GraphProto):
        for values in (body.initializer, body.value_info):
            for index in reversed(range(len(values))):
                if values[index].name == name:
                    del values[index]
