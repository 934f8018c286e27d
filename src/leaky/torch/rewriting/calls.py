"""What rewritten code calls in place of a rectifier, and which functions of PyTorch are rectifiers.

TorchDynamo follows all of it without a break: hence nothing here asks for names or frames.
"""

from __future__ import annotations

import operator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import leaky.torch
from leaky.torch.slopes import warmed

_NN: Any = torch._C._nn  # where PyTorch keeps some of those that work in place

#: the functions that are rectifiers, each with the kind of site that its call is
FUNCTIONS: dict[Any, str] = {
    **dict.fromkeys([F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_], "relu"),
    **dict.fromkeys(
        [F.leaky_relu, F.leaky_relu_, leaky.torch.leaky_relu, _NN.leaky_relu, _NN.leaky_relu_], "leaky_relu"
    ),
    **dict.fromkeys([F.threshold, torch.threshold, torch.threshold_], "threshold"),
    **dict.fromkeys([F.relu6, _NN.relu6, _NN.relu6_], "relu6"),
    **dict.fromkeys([F.hardtanh, F.hardtanh_, _NN.hardtanh, _NN.hardtanh_], "hardtanh"),
    **dict.fromkeys([F.prelu, torch.prelu, Tensor.prelu], "prelu"),
    **dict.fromkeys([F.rrelu, F.rrelu_, torch.rrelu, torch.rrelu_], "rrelu"),
}

#: the place of the argument ``inplace``, of those that have one
_INPLACE = {
    F.relu: 1,
    F.relu6: 1,
    F.leaky_relu: 2,
    leaky.torch.leaky_relu: 2,
    F.threshold: 3,
    F.hardtanh: 3,
    F.rrelu: 4,
}

#: what is always in place
_OVERWRITE = {
    *(torch.relu_, Tensor.relu_, torch.threshold_, torch.rrelu_, torch.clamp_, torch.clamp_min_),
    *(
        _NN.leaky_relu_,
        _NN.hardtanh_,
        _NN.relu6_,
        Tensor.masked_fill_,
        Tensor.mul_,
        Tensor.clamp_,
        Tensor.clamp_min_,
        Tensor.clip_,
        torch.clip_,
    ),
}


#: those that may be rectifiers, by what they are handed
MAYBE = {
    *(torch.clamp, torch.clamp_, torch.clip, torch.clip_, torch.clamp_min, torch.clamp_min_, torch.maximum, torch.max),
    *(torch.where, torch.masked_fill, torch.mul, torch.multiply, torch.fmax, operator.mul),
    *(Tensor.clamp, Tensor.clamp_, Tensor.clip, Tensor.clip_, Tensor.clamp_min, Tensor.clamp_min_, Tensor.maximum),
    *(Tensor.max, Tensor.where, Tensor.masked_fill, Tensor.masked_fill_, Tensor.mul, Tensor.mul_),
}


def converted(owner: Any, number: int, operand: int, rectifies: bool, function: Any) -> Any:
    """Return what is called in place of a function; a module or another function that stands there is left alone.

    Args:
        owner: the module whose ``leaky_slopes`` holds the slope, which is read at each call.
        number: of the call among those of the owner.
        operand: place of the pre-activation among the arguments.
        rectifies: whether the function is what is wanted at slope 0; else it is ReLU.
        function: what the code that was rewritten calls.
    """
    if isinstance(function, torch.nn.Module) or not (function in FUNCTIONS or function in MAYBE):
        return function
    return partial(_call, owner, number, operand, rectifies, function)


def _call(owner: Any, number: int, operand: int, rectifies: bool, function: Any, *args: Any, **named: Any) -> Any:
    slope = owner.leaky_slopes[number]
    if slope == 0 and rectifies:
        return function(*args, **named)
    x = args[operand] if operand < len(args) else named["input"]
    inplace = function in _OVERWRITE or named.get("inplace", False)
    if function in _INPLACE and _INPLACE[function] < len(args):
        inplace = args[_INPLACE[function]]
    return _rectified(owner, x, slope, inplace)


def method(owner: Any, number: int, operand: int, rectifies: bool, x: Any, name: str, *args: Any, **named: Any) -> Any:
    """Run what stands in place of the call of a tensor's method, as :func:`converted` does of a function."""
    slope = owner.leaky_slopes[number]
    if slope == 0 and rectifies:
        return getattr(x, name)(*args, **named)
    return _rectified(owner, args[operand - 1] if operand else x, slope, name[-1] == "_")


def _rectified(owner: Any, x: Any, slope: float, inplace: bool) -> Any:
    result = warmed(x, slope, inplace) if owner.leaky_warming else None
    if result is not None:
        return result
    return F.relu(x, inplace) if slope == 0 else leaky.torch.leaky_relu(x, slope, inplace)
