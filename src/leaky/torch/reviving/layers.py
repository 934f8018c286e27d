"""Layers with weights as operations: the rows that make their outputs, and the weights that read each input channel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from leaky.torch.reviving.parts import Index, Part, Row, View


@dataclass(frozen=True)
class Layer:
    """One call of a layer: its channels are on axis 1, before and after."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    groups: int = 1
    #: from inputs to outputs, as matrices and transposed convolutions are laid out; None for other convolutions
    stride: tuple[int, ...] | None = ()

    @property
    def inputs(self) -> int:
        """Input channels of a group."""
        return self.weight.shape[1] if self.stride is None else self.weight.shape[0] // self.groups

    @property
    def outputs(self) -> int:
        """Output channels of a group."""
        return self.weight.shape[0] // self.groups if self.stride is None else self.weight.shape[1]

    def row(self, number: int, weight: View, bias: View | None) -> Row:
        """Return what makes an output."""
        group, within = divmod(number, self.outputs)
        index: Index = (number,) if self.stride is None else (self._of(group, self.inputs), within)
        terms = self.inputs * math.prod(self.weight.shape[2:]) // math.prod(self.stride or ())
        return Row(number, Part(weight, index), None if bias is None else Part(bias, (number,)), max(terms, 1))

    def read(self, number: int, weight: View) -> Part:
        """Return what reads an input."""
        group, within = divmod(number, self.inputs)
        return Part(weight, (self._of(group, self.outputs), within) if self.stride is None else (number,))

    @staticmethod
    def _of(group: int, size: int) -> slice:
        return slice(group * size, (group + 1) * size)


def layer_of(name: str, given: dict[str, Any]) -> Layer | None:
    """Return the layer that an operation is; None if it is none, or none whose weights stand one to a channel."""
    match name:
        case "mm":
            return Layer(given["self"], given["mat2"], None)
        case "addmm":
            return Layer(given["mat1"], given["mat2"], given["self"])
        case "convolution" | "_convolution" | "convolution_overrideable":
            stride = tuple(given["stride"]) if given["transposed"] else None
            return Layer(given["input"], given["weight"], given["bias"], given["groups"], stride)
    return None
