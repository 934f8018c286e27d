"""Rectifiers that are modules: what kind they are, and how one becomes another.

A module stays the object that it is, and becomes one of another class: so it stays shared where it is shared, keeps its
hooks, and is found by all that holds it.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky.torch import LeakyReLU
from leaky.torch.rewriting.mentions import is_torchs, rectifier
from leaky.torch.slopes import KeepsSlopes

_SETTINGS = {
    *("negative_slope", "inplace", "of_threshold", "threshold", "value"),
    *("min_val", "max_val", "lower", "upper", "num_parameters"),
}


class WarmLeakyReLU(LeakyReLU):
    """A Leaky ReLU in the place of a ReLU, which it is at slope 0, to the bit: no -0.0, and no NaN of -inf.

    Args:
        negative_slope: see :class:`leaky.torch.LeakyReLU`.
        inplace: see there.
        threshold: whether it is a ``nn.Threshold(0, 0)`` at slope 0, whose zeros have another sign.
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False, threshold: bool = False) -> None:
        super().__init__(negative_slope, inplace)
        self.of_threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """Return the Leaky ReLU of the input; at slope 0 its ReLU."""
        if self.negative_slope != 0:
            return super().forward(input)
        return F.threshold(input, 0, 0, self.inplace) if self.of_threshold else F.relu(input, self.inplace)

    def _get_name(self) -> str:
        return "LeakyReLU"


class FrozenPReLU(KeepsSlopes):
    """A Leaky ReLU in the place of a PReLU: its slopes, one or one per channel, are a buffer of the parameter's name."""

    leaky_frozen = True
    weight: Tensor

    def forward(self, input: Tensor) -> Tensor:
        """Return what the PReLU would."""
        return F.prelu(input, self.weight)

    @property
    def negative_slope(self) -> float | list[float]:
        """The slope, or one for each channel."""
        slopes: list[float] = self.weight.tolist()
        return slopes[0] if len(slopes) == 1 else slopes

    @negative_slope.setter
    def negative_slope(self, value: float | list[float]) -> None:
        self.weight.copy_(self.weight.new_tensor(value).expand_as(self.weight))

    def extra_repr(self) -> str:
        """Return the slope, or how many there are."""
        return f"negative_slope={self.negative_slope:g}" if len(self.weight) == 1 else f"{len(self.weight)} slopes"

    def _get_name(self) -> str:
        return "LeakyReLU"


#: the rectifiers of PyTorch's, and ours, that are modules
KINDS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    FrozenPReLU: "leaky_relu",
    nn.Threshold: "threshold",
    nn.ReLU6: "relu6",
    nn.Hardtanh: "hardtanh",
    nn.RReLU: "rrelu",
    nn.PReLU: "prelu",
}


class OnlyAtZero:
    """True while activations are ReLU: what PyTorch asks whether a layer may take its fused path for ReLU."""

    def __init__(self, activations: list[Any]) -> None:
        self.activations = activations

    def __bool__(self) -> bool:
        return all(isinstance(each, nn.ReLU) or getattr(each, "negative_slope", None) == 0 for each in self.activations)

    def __eq__(self, other: object) -> bool:
        return int(bool(self)) == other

    __hash__ = None  # type: ignore[assignment]  # it changes


def kind_of(module: nn.Module) -> tuple[str, str] | None:
    """Return the kind of a module that is a rectifier of PyTorch's or ours, and the name of PyTorch's class for it."""
    for cls, kind in KINDS.items():
        if isinstance(module, cls):
            form = "a frozen PReLU" if cls is FrozenPReLU else f"nn.{cls.__name__}"
            if isinstance(module, nn.Threshold):
                kind = "relu" if (module.threshold, module.value) == (0, 0) else kind
            elif isinstance(module, nn.Hardtanh):
                bounds = float(module.min_val), float(module.max_val)
                kind = {(0.0, 6.0): "relu6", (0.0, math.inf): "relu"}.get(bounds, kind)
            return kind, form
    return None


def is_subclass(module: nn.Module) -> bool:
    """Say whether a rectifier is of a class that its author made of PyTorch's, and may do something else."""
    return type(module) not in (*KINDS, LeakyReLU, WarmLeakyReLU)


def written(module: nn.Module) -> str:
    """Return the activation that a module is, with its slope."""
    kind, _ = kind_of(module) or ("", "")
    if isinstance(module, nn.LeakyReLU):
        return f"leaky_relu({module.negative_slope:g})"
    if isinstance(module, nn.PReLU | FrozenPReLU):
        slopes: set[float] = set(module.weight.detach().float().tolist())
        return f"{kind}({slopes.pop():g})" if len(slopes) == 1 else f"{kind}(one slope per channel)"
    return kind


def slope_of(module: nn.Module) -> float:
    """Return the one slope that a rectifier has; of those with several, their mean."""
    if isinstance(module, nn.PReLU | FrozenPReLU):
        return float(module.weight.detach().double().mean())
    if isinstance(module, nn.LeakyReLU):
        return float(module.negative_slope)
    if isinstance(module, nn.RReLU):
        return (module.lower + module.upper) / 2
    return 0.0


def to_leaky(module: nn.Module, slope: float | None) -> None:
    """Make a rectifier a Leaky ReLU; None leaves it the slope or slopes that it has."""
    if isinstance(module, nn.PReLU | FrozenPReLU):
        weight = module.weight.detach()
        module._parameters.pop("weight", None)
        module.__class__ = FrozenPReLU
        module._buffers["weight"] = weight
        module.__dict__.pop("num_parameters", None)
        if slope is not None:
            weight.fill_(slope)
        return
    negative_slope = slope_of(module) if slope is None else slope
    threshold = isinstance(module, nn.Threshold) or getattr(module, "of_threshold", False)
    _become(module, WarmLeakyReLU(negative_slope, getattr(module, "inplace", False), threshold))


def to_relu(module: nn.Module) -> None:
    """Make a rectifier a ReLU; one with a weight keeps it, as 0, for the keys of its state."""
    if isinstance(module, nn.PReLU | FrozenPReLU):
        to_leaky(module, 0.0)
    else:
        _become(module, nn.ReLU(getattr(module, "inplace", False)))


def to_prelu(module: nn.Module, slope: float | None, like: Tensor) -> bool:
    """Make a rectifier a PReLU that begins at its slope, or at another one; say whether that took a new weight.

    A new weight is of the type and on the device of ``like``.
    """
    if isinstance(module, nn.PReLU | FrozenPReLU):
        weight = module.weight.detach()
        if slope is not None:
            weight.fill_(slope)
        module._buffers.pop("weight", None)
        module.__class__ = nn.PReLU
        module.__dict__["num_parameters"] = weight.numel()
        module._parameters["weight"] = nn.Parameter(weight)
        return False
    start = slope_of(module) if slope is None else slope
    _become(module, nn.PReLU(init=start, device=like.device, dtype=like.dtype))
    return True


def _become(module: nn.Module, other: nn.Module) -> None:
    """Make a module what another is; its hooks and its train flag stay."""
    for name in set(vars(module)) - set(vars(other)):
        if name in _SETTINGS:
            del module.__dict__[name]
    for name, value in vars(other).items():
        if not name.startswith("_") and name != "training":
            module.__dict__[name] = value
    module._parameters.update(other._parameters)
    module.__class__ = type(other)


def functions_held(module: nn.Module) -> dict[str, tuple[str, str, float | None]]:
    """Return the rectifiers of PyTorch that a module holds as functions: attribute, kind, name and the slope set with it."""
    found = {}
    for name, value in vars(module).items():
        function, slope = value, None
        if isinstance(value, functools.partial):
            function, slope = value.func, value.keywords.get("negative_slope")
        kind = rectifier(function)
        if kind is not None:
            found[name] = kind, function.__name__, slope
    return found


def hold(module: nn.Module, name: str, activation: nn.Module) -> None:
    """Have a module hold a module where it held a function."""
    held = vars(module).pop(name)
    if isinstance(held, functools.partial):
        activation.inplace = held.keywords.get("inplace", False)
    setattr(module, name, activation.train(module.training))
    if getattr(module, name) is not activation:  # the class has something of that name, such as a cached property
        vars(module)[name] = activation


def keep_activations(root: nn.Module) -> None:
    """Have the layers of decoders keep an activation that is a module: copied, or unpickled, they would get ReLU before it."""
    for layer in root.modules():
        if isinstance(layer, nn.TransformerDecoderLayer) and "activation" in layer._modules:
            vars(layer)["activation"] = layer._modules["activation"]  # where alone it is looked for then


def mind_transformers(root: nn.Module) -> None:
    """Keep transformers off PyTorch's fused path for ReLU while what was ReLU has a slope."""
    keep_activations(root)
    for layer in root.modules():
        if isinstance(layer, nn.TransformerEncoderLayer):
            activation: Any = layer.activation
            if layer.activation_relu_or_gelu == 1 and isinstance(activation, nn.Module):
                layer.activation_relu_or_gelu = OnlyAtZero([activation])  # type: ignore[assignment]  # it is asked whether it is true, or 2
    for encoder in root.modules():
        if isinstance(encoder, nn.TransformerEncoder) and encoder.use_nested_tensor:
            fused = [getattr(layer, "activation_relu_or_gelu", None) for layer in encoder.layers]
            asked = [each for one in fused if isinstance(one, OnlyAtZero) for each in one.activations]
            if asked:
                encoder.use_nested_tensor = OnlyAtZero(asked)  # type: ignore[assignment]  # as above


def opaque(module: nn.Module) -> str | None:
    """Return why nothing in a module can be converted, if nothing can."""
    cls = type(module)
    if isinstance(module, torch.jit.ScriptModule):
        return "TorchScript: its code is fixed"
    if isinstance(module, torch.fx.GraphModule):
        return "a graph of torch.fx: its code is made anew whenever it changes"
    if "relu" in (getattr(module, "nonlinearity", "") or getattr(module, "mode", "")).lower() and is_torchs(cls):
        return "does its steps in one call"
    if cls.__module__.startswith(("torch.ao.nn", "torch.nn.quantized")) and "ReLU" in cls.__name__:
        return "a quantised layer with its activation in it"
    return None
