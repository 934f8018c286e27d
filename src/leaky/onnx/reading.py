"""Model files, hostile until proved otherwise: nothing is believed about sizes, and no file outside the folder is opened."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx.external_data_helper import uses_external_data

from leaky.onnx.errors import said_of
from leaky.onnx.tensors import check_tensor
from leaky.wording import plain

#: what holds nodes
Part = onnx.GraphProto | onnx.FunctionProto

# The domains whose operators ONNX Runtime brings along.
DOMAINS = {"", "ai.onnx.ml", "ai.onnx.preview.training", "com.microsoft", "com.microsoft.nchwc"}

# Nesting of If and Loop bodies, and nodes once every function is written out where it is called. Protobuf itself
# refuses more than about 30 bodies in one another; functions that call functions could ask for 10^20 nodes.
_DEEPEST = 24
_MOST_NODES = 1_000_000


def read(path: str | Path, max_memory: int | None = None) -> ir.Model:
    """Read a model, whose external data may lie in the model's folder or below it, and nowhere else.

    Args:
        path: of an ``.onnx`` file.
        max_memory: bytes that the model, with its external data, may take. None sets no limit.

    Returns:
        The model as it is in the file. External data are not loaded, but are known to be there in full.

    Raises:
        ValueError: if it is no sound ONNX model, in one line that begins with the path.
    """
    return opened(path, max_memory)[1]


def opened(path: str | Path, max_memory: int | None = None) -> tuple[onnx.ModelProto, ir.Model]:
    """Do what :func:`read` does, and return the model as parsed beside it."""
    path = Path(path)
    try:
        proto = _parse(path, max_memory)
        return proto, checked(proto, path, max_memory)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def checked(proto: onnx.ModelProto, path: Path | None, max_memory: int | None) -> ir.Model:
    """Return a parsed model in onnx-ir, if it is sound.

    Args:
        proto: as parsed.
        path: of its file, in whose folder its external data are; None if it is in memory, and can have none.
        max_memory: as for :func:`read`.

    Raises:
        ValueError: with what is wrong.
    """
    check(proto, None if path is None else path.parent, max_memory)
    _check_by_onnx(proto, path)
    if path is None:  # someone else's: onnx-ir would write the names of constants into the tensors that it gets
        proto = onnx.ModelProto.FromString(proto.SerializeToString())
    with said_of("not a sound ONNX model"):
        model = ir.from_proto(proto)
    if path is not None:
        for graph in model.graphs():
            ir.external_data.set_base_dir(graph, path.parent)
    return model


def check(proto: onnx.ModelProto, folder: Path | None, max_memory: int | None) -> None:
    """Check what ONNX's own checker leaves to chance: sizes, places, depth, operators of unknown domains.

    Raises:
        ValueError: with what is wrong.
    """
    _check_text(proto)
    if not proto.graph.node:
        raise ValueError("not an ONNX model: it has no operations")
    held = 0
    for tensor in tensors(proto):
        held += check_tensor(tensor, folder, max_memory)
        if max_memory is not None and held > max_memory:
            raise ValueError(f"its tensors take more than the {max_memory:,} bytes allowed")
    _check_operators(proto)


def _parse(path: Path, max_memory: int | None) -> onnx.ModelProto:
    if not path.is_file():
        raise ValueError("no such file")
    if max_memory is not None and path.stat().st_size > max_memory:
        raise ValueError(f"{path.stat().st_size:,} bytes, more than the {max_memory:,} allowed")
    proto = onnx.ModelProto()
    with said_of("not an ONNX model"):
        proto.ParseFromString(path.read_bytes())
    return proto


def _check_text(proto: onnx.ModelProto) -> None:
    """Check that what is to be text is: protobuf hands over bytes where it is none."""
    stack = [proto]
    while stack:
        for field, value in stack.pop().ListFields():
            several = value if field.is_repeated else [value]
            if field.message_type is not None:
                stack.extend(several)
            elif field.type == field.TYPE_STRING and any(isinstance(each, bytes) for each in several):
                raise ValueError(f"not an ONNX model: the text of a field {field.name!r} is not in UTF-8")


def _check_by_onnx(proto: onnx.ModelProto, path: Path | None) -> None:
    dense = (tensor for tensor in tensors(proto) if isinstance(tensor, onnx.TensorProto))
    # By path where there are external data, which it would otherwise look for in the working directory.
    external = any(uses_external_data(tensor) for tensor in dense)
    with said_of("not a sound ONNX model"):
        onnx.checker.check_model(str(path) if external else proto)
        for part in (proto.graph, *proto.functions):
            imports = (proto if part is proto.graph else part).opset_import
            versions = {each.domain: each.version for each in imports}
            for node in (node for body in within(part) for node in body.node if "" in node.input):
                _check_left_out(node, versions)


_OPTIONAL = onnx.defs.OpSchema.FormalParameterOption.Optional


def _check_left_out(node: onnx.NodeProto, versions: dict[str, int]) -> None:
    """Check that only optional inputs are left out: ONNX Runtime crashes where others are."""
    if node.domain in versions and onnx.defs.has(node.op_type, node.domain):
        inputs = onnx.defs.get_schema(node.op_type, versions[node.domain], node.domain).inputs
        for index, name in enumerate(node.input):
            if not name and inputs[min(index, len(inputs) - 1)].option != _OPTIONAL:
                raise ValueError(f"{node.op_type} {node.name!r} lacks its input {index}")


def _attributes(part: Part) -> Iterator[onnx.AttributeProto]:
    for node in part.node:
        yield from node.attribute
    if isinstance(part, onnx.FunctionProto):
        yield from part.attribute_proto


def within(part: Part) -> Iterator[Part]:
    """Yield a graph or function and all bodies within it."""
    stack = [(part, 0)]
    while stack:
        part, depth = stack.pop()
        if depth > _DEEPEST:
            raise ValueError(f"bodies of If and Loop are nested more than {_DEEPEST} deep")
        yield part
        for attribute in _attributes(part):
            bodies = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
            stack += [(body, depth + 1) for body in bodies]


def _parts(proto: onnx.ModelProto) -> Iterator[Part]:
    """Yield the main graph, the functions, and all bodies within them."""
    for part in (proto.graph, *proto.functions):
        yield from within(part)


def tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto | onnx.SparseTensorProto]:
    """Yield all tensors of a model, in bodies and functions too."""
    for part in _parts(proto):
        if isinstance(part, onnx.GraphProto):
            yield from part.initializer
            yield from part.sparse_initializer
        for attribute in _attributes(part):
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("sparse_tensor"):
                yield attribute.sparse_tensor
            yield from attribute.tensors
            yield from attribute.sparse_tensors


def _check_operators(proto: onnx.ModelProto) -> None:
    """Check that each operator is known, and that writing functions out where they are called comes to an end."""
    functions = {(each.domain, each.name, each.overload): each for each in proto.functions}
    calls: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    sizes: dict[tuple[str, ...], int] = {}
    for name, part in [*functions.items(), ((), proto.graph)]:
        nodes = [node for body in within(part) for node in body.node]
        sizes[name] = len(nodes)
        called = [(node.domain, node.op_type, node.overload) for node in nodes]
        calls[name] = [operator for operator in called if operator in functions]
        for domain, operator, _ in called:
            if domain not in DOMAINS and (domain, operator, _) not in functions:
                raise ValueError(
                    f"operator {plain(operator)!r} is of the domain {plain(domain)!r}, "
                    "which is neither the file's nor ONNX Runtime's own"
                )
    try:
        for name in graphlib.TopologicalSorter(calls).static_order():
            sizes[name] += sum(sizes[called] for called in calls[name])
    except graphlib.CycleError:
        raise ValueError("its functions call themselves") from None
    if sizes[()] > _MOST_NODES:
        raise ValueError(f"its functions, written out, come to more than {_MOST_NODES:,} operations")
