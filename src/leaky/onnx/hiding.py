"""What activations a model holds where they cannot be seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx_ir as ir

from leaky.wording import counted, listing, plain

#: beginnings of the names of operators on numbers of few bits
QUANTISED = ("QLinear", "QGemm", "QuantizeLinear", "DynamicQuantize", "ConvInteger")


def hidden(model: ir.Model) -> list[str]:
    """Return notes on activations that are part of a larger operation, and on what quantisation hides."""
    kinds: dict[str, list[str]] = {}
    quantised = False
    for node in model.graph.all_nodes():
        if held := ", ".join(dict.fromkeys(inside(node))):
            kinds.setdefault(f"{held} inside {node.op_type}", []).append(node.name or node.op_type)
        quantised |= node.op_type.startswith(QUANTISED)
    notes = [f"Not seen: {what} ({some(names)})." for what, names in kinds.items()]
    if quantised:
        notes.append(
            "The model is quantised: its rectifiers may be part of the rounding, where they are not seen, "
            "and small pre-activations are rounded to 0."
        )
    return notes


def some(names: Iterable[str], most: int = 3) -> str:
    """Write the first few names, and how many more there are."""
    shown = [plain(name)[:80] for name in names]
    rest = [counted(len(shown) - most, "other")] if len(shown) > most else []
    return listing(shown[:most] + rest)


_RECURRENT = {"LSTM": ["Sigmoid", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
_FUSED = {"BiasGelu": "Gelu", "BiasSplitGelu": "Gelu", "QLinearLeakyRelu": "LeakyRelu", "QLinearSigmoid": "Sigmoid"}


def inside(node: ir.Node) -> Iterator[str]:
    """Yield the activations that are part of an operation."""
    if node.op_type in _RECURRENT and node.domain == "":
        given = node.attributes.get("activations")
        yield from _RECURRENT[node.op_type] if given is None or given.is_ref() else given.as_strings()
    elif node.domain == "com.microsoft":
        if node.op_type in _FUSED:
            yield _FUSED[node.op_type]
        given = node.attributes.get("activation")
        if given is not None and given.type == ir.AttributeType.STRING:
            yield given.as_string()
    elif node.op_type == "SequenceMap":
        yield "what is"
