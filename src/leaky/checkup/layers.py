"""What of a PyTorch layer bears on the units that it feeds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from leaky.checkup.seen import Layer
from leaky.evidence import Floats

# Weights summed by channel of the input are kept for the first layer, if they are no more than this: 8 MB.
_MOST_BY_INPUT = 1_000_000


@torch.no_grad()
def read_layer(module: nn.Module, units: int, channels: int | None) -> Layer | None:
    """Return the layer's weights unit by unit; None where it has none that stand one to a unit.

    Args:
        module: a linear layer, a convolution (transposed or not), a normalisation, or their like.
        units: how many it feeds.
        channels: of the network's input, if this is the first layer.
    """
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if not isinstance(weight, Tensor) or not weight.is_floating_point() or weight.is_meta:
        return None
    rows = _rows(weight, module)
    if len(rows) != units:
        return None
    by_input = None
    if channels is not None and rows.shape[1] % channels == 0 and units * channels <= _MOST_BY_INPUT:
        by_input = _numbers(rows.reshape(units, channels, -1).sum(-1))
    return Layer(
        kind=type(module).__name__,
        norm=_numbers(torch.linalg.vector_norm(rows, dim=1)),
        inputs=rows.shape[1],
        bias=_numbers(bias) if isinstance(bias, Tensor) and bias.shape == (units,) else None,
        by_input=by_input,
    )


def _rows(weight: Tensor, module: nn.Module) -> Tensor:
    """Return the weights as one row for each unit."""
    if weight.ndim > 2 and getattr(module, "transposed", False):  # inputs, outputs of a group, kernel
        groups = int(getattr(module, "groups", 1))
        weight = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
    return weight.flatten(1) if weight.ndim > 1 else weight.reshape(-1, 1)


def _numbers(tensor: Tensor) -> Floats:
    return tensor.double().cpu().numpy()
