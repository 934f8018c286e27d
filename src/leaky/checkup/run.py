"""One check: hand the network its data, watch, and put together what was seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from leaky.checkup.result import Check
from leaky.inputs.arguments import memory, truth
from leaky.inputs.batches import Progress
from leaky.inputs.errors import InputError
from leaky.inputs.models import is_network, is_onnx

#: of the network's inputs: given, that of the data seen, or none, which proves nothing
InputRange = tuple[float, float] | Literal["data"] | None


def check(
    model: Any,
    data: Any,
    *,
    loss: str | Callable[[Any, Any], Any] | None = None,
    batch_size: int | None = None,
    input_range: InputRange = None,
    trained: bool = True,
    max_memory: int | None = None,
    progress: Progress | None = None,
) -> Check:
    """Run a network on data and find its dead units, and what else its activations show.

    The network is run in evaluation mode, and is afterwards as it was before. Data are streamed: memory is taken for one
    batch, and by the unit, not by the sample. Several checks of shards add up by :func:`leaky.checkup.merge`.

    Args:
        model: a ``torch.nn.Module``; or the path of an ONNX file, or an ``onnx.ModelProto``.
        data: an array or tensor of inputs, samples first; a tuple of them, one for each input of the network, and maybe
            the targets after them; a dict of them, by the names of the network's arguments; or an iterable of batches of
            these forms, such as a DataLoader. It is walked once. For a PyTorch network, floats, bytes and booleans of NumPy become the type of its
            parameters, other whole numbers int64; an ONNX model gets what it declares.
        loss: to see gradients too: ``"cross_entropy"``, ``"mse"``, ``"l1"``, ``"bce"`` (of logits), ``"nll"``,
            ``"model"`` (the attribute ``loss`` of what the network returns), or a function of the output and the
            target (of a dict: the dict) that returns a scalar tensor. Without it no gradient is computed.
        batch_size: for data that are not in batches. None: as many as make half a million numbers, from 8 to 1,024 (of
            tokens fewer; 64 of a PyTorch data set).
        input_range: the lowest and the highest number in any input, those of the data included, for which units are to
            be proved dead, or ``"data"`` for those of the data seen. It takes the time of some hundred samples; None proves nothing. Not
            for ONNX models.
        trained: False if the network is as it was made: what is dead then is dead at birth.
        max_memory: the bytes that ONNX Runtime may take. A PyTorch network takes what a batch takes.
        progress: called with the number of batches done, and of all if known, after each.

    Raises:
        InputError: a :class:`ValueError`; the data are empty or of no form known, the network fails on a batch (the text says on which and
            how), or an argument is not what is expected.
        TypeError: ``trained`` is no truth value, or ``max_memory`` no whole number.
        ImportError: the network's framework is not installed.
    """
    if input_range is not None and input_range != "data":
        _check_range(input_range)
    max_memory = memory(max_memory)
    more: dict[str, Any] = {"trained": truth("trained", trained), "progress": progress or _quiet}
    if is_onnx(model):
        from leaky.checkup.graphs import check_graph

        if loss is not None:
            raise InputError("loss: an ONNX model has no gradients; expected none")
        if input_range is not None:
            raise InputError("input_range: units are not proved dead in an ONNX model; expected none")
        return check_graph(model, data, batch_size, max_memory=max_memory, **more)
    if not is_network(model):
        raise InputError(
            f"model: {type(model).__name__}; expected a torch.nn.Module, an onnx.ModelProto or the path of an .onnx file"
        )
    from leaky.checkup.networks import check_network

    return check_network(model, data, loss, batch_size, input_range=input_range, **more)


def _check_range(input_range: Any) -> None:
    try:
        low, high = map(float, input_range)
        if not low <= high or abs(low) == float("inf") or abs(high) == float("inf"):
            raise ValueError
    except (TypeError, ValueError):
        raise InputError(f"input_range: {input_range!r}; expected two numbers, the lower one first") from None


def _quiet(done: int, total: int | None) -> None:
    pass
