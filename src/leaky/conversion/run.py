"""One conversion: what is handed over is told apart, and what is asked for is looked at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from leaky.conversion.result import Conversion
from leaky.conversion.selection import Selection, Sites
from leaky.function import real_slope
from leaky.inputs.arguments import memory, truth
from leaky.inputs.batches import Progress
from leaky.inputs.models import is_network, is_onnx

_TARGETS = ("leaky_relu", "relu", "prelu")


def convert(
    model: Any,
    negative_slope: float | None = 0.01,
    *,
    to: Literal["leaky_relu", "relu", "prelu"] = "leaky_relu",
    kinds: str | Iterable[str] = ("relu", "leaky_relu"),
    only: Sites = None,
    skip: Sites = None,
    subclasses: bool = False,
    data: Any = None,
    batch_size: int | None = None,
    trained: bool = True,
    recalibrate: bool = False,
    inplace: bool = False,
    max_memory: int | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Return a network with Leaky ReLU in the places of its rectifiers, and an account of what changed and what did not.

    Modules become others of their kind. Functions that modules hold become modules. A module in whose code a rectifier is
    called becomes one of a class whose code calls Leaky ReLU there, with the slopes that its ``leaky_slopes`` lists.

    Args:
        model: a ``torch.nn.Module``; or the path of an ONNX file, or an ``onnx.ModelProto``, see
            :func:`leaky.conversion.graphs.convert_graph` (:func:`leaky.onnx.save` writes what comes of it).
        negative_slope: of the new activations; None: each keeps the slope that it has, a ReLU 0. At 0 what was a ReLU
            computes what it did, to the bit.
        to: what they become: ``"leaky_relu"``, ``"relu"`` or ``"prelu"``, whose slopes are learned from there on.
        kinds: which are converted, as a site's kind is called: ``relu``, ``leaky_relu``, ``prelu``, ``relu6``,
            ``hardtanh``, ``rrelu``, ``threshold``.
        only: which sites: a pattern of names such as ``"encoder.*"``, a :class:`leaky.Check` (its sites with dead units),
            a finding, or a list of these. What runs several times in a pass is converted if one of its sites is named.
        skip: which sites stay as they are, in the same words.
        subclasses: whether to convert modules of a class that is made of one of PyTorch's, and may do something else.
        data: what :func:`leaky.check` takes. The network is run on them, so that the sites are found, and named, as a check
            does: also the calls that may be no activations, such as ``clamp(min=0)``, which are converted where a layer
            feeds them. Then it is said how far the outputs have moved. Without data nothing is run, and those are left.
        batch_size: see :func:`leaky.check`.
        trained: False has the initial weights of the layers before converted rectifiers multiplied by the ratio of gains,
            new to old (He et al. 2015): see :func:`leaky.conversion.initialisation.rescale`. It takes data, to see which.
        recalibrate: take BatchNorm's running statistics anew over the data, and say how far the outputs have moved then.
        inplace: convert the network itself, not a copy.
        max_memory: the bytes that an ONNX model and ONNX Runtime may take.
        progress: called after each batch of an ONNX model's data, with how many are done, and of how many.

    Raises:
        ValueError: an argument is not what is expected, or the network cannot be copied.
        TypeError: ``only`` or ``skip`` is of no form known, or the slope, ``trained`` or ``max_memory`` is none of what it is to be.
    """
    if to not in _TARGETS:
        raise ValueError(f"to: {to!r}; expected one of {', '.join(_TARGETS)}")
    trained = truth("trained", trained)
    max_memory = memory(max_memory)
    slope = None if negative_slope is None else real_slope(negative_slope)
    for name, asked in (("trained=False", not trained), ("recalibrate=True", recalibrate)):
        if asked and data is None:
            raise ValueError(f"data: None, with {name}; expected data to run the network on")
    selection = Selection(only, skip, kinds)
    if is_onnx(model):
        from leaky.conversion.graphs import convert_graph

        for name, asked in (("trained", not trained), ("recalibrate", recalibrate), ("inplace", inplace)):
            if asked:
                raise ValueError(
                    f"{name}: {name != 'trained'}; an ONNX model can only be converted as it is, into another"
                )
        return convert_graph(
            model, slope, selection, to=to, data=data, batch_size=batch_size, max_memory=max_memory, progress=progress
        )
    if not is_network(model):
        expected = "expected a torch.nn.Module, an onnx.ModelProto or the path of an .onnx file"
        raise ValueError(f"model: {type(model).__name__}; {expected}")
    from leaky.conversion.networks import Target, convert_network

    return convert_network(
        model,
        Target(to, slope),
        selection,
        subclasses=subclasses,
        data=data,
        batch_size=batch_size,
        trained=trained,
        recalibrate=recalibrate,
        inplace=inplace,
    )
