"""Names for a model's nodes, which need have none, and of which functions and bodies have the same more than once."""

from __future__ import annotations

from typing import NamedTuple

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from leaky.onnx.errors import said_of

# Where, in a node's metadata, its own name is kept and those of the calls that brought it in: the inliner hands the
# metadata of a call on to all that it writes out, those of the outermost call first.
_OWN = "leaky.name"
_CALL = "leaky.call."


class Place(NamedTuple):
    """Where a graph is: the names that lead to it, and how many of them are function calls."""

    path: tuple[str, ...] = ()
    calls: int = 0

    @property
    def name(self) -> str:
        """The names in one."""
        return "/".join(self.path)


def write_out_functions(model: ir.Model) -> None:
    """Put the operations of local functions where they are called, in place, keeping their names.

    Raises:
        ValueError: if they are called in a way that this cannot be done.
    """
    if not model.functions:
        return
    calls = 0
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        for node in graph.all_nodes():
            node.metadata_props[_OWN] = own_name(node)
            if node.op_identifier() in model.functions:
                node.metadata_props[f"{_CALL}{calls}"] = node.metadata_props.pop(_OWN)
                calls += 1
    with said_of("its functions cannot be written out"):
        InlinePass()(model)


def own_name(node: ir.Node) -> str:
    """Return the name of a node, or one made of its operator and what it makes."""
    return node.name or f"{node.op_type}_{node.outputs[0].name if node.outputs else ''}"


class Names:
    """Hands out unique names of nodes."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def of(self, node: ir.Node, place: Place) -> str:
        """Return a name for a node that is in a graph at this place, once."""
        name = first = "/".join([*self.within(node, place).path, node.metadata_props.get(_OWN) or own_name(node)])
        count = 0
        while name in self._used:
            count += 1
            name = f"{first}[{count}]"
        self._used.add(name)
        return name

    def within(self, node: ir.Node, place: Place) -> Place:
        """Return the place of a node by the function calls that brought it into a graph."""
        calls = [value for key, value in node.metadata_props.items() if key.startswith(_CALL)]
        return Place((*place.path, *calls[place.calls :]), max(len(calls), place.calls))
