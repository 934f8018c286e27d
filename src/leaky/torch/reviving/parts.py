"""Parts of parameters: the row that makes a unit, the columns that read it, as the operations of a forward pass see them."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

Index = tuple[int | slice, ...]


@dataclass(frozen=True)
class View:
    """A parameter or buffer as an operation reads it: whole or in part, transposed or not."""

    name: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    #: of its first number, from the parameter's first
    offset: int
    owner: Tensor = field(compare=False, repr=False)

    @property
    def layer(self) -> str:
        """Path of the module that the parameter is of."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def span(self) -> tuple[int, int]:
        """Where in the parameter's memory it begins and ends."""
        return self.offset, self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True)) + 1

    def within(self, like: Tensor) -> Tensor:
        """Return the same view of a tensor that is laid out as the parameter is."""
        return like.as_strided(self.shape, self.stride, like.storage_offset() + self.offset)


@dataclass(frozen=True)
class Part:
    """Some of the numbers of a view."""

    view: View
    index: Index

    def within(self, like: Tensor) -> Tensor:
        """Return these numbers of a tensor that is laid out as the parameter is, to be written to."""
        return self.view.within(like)[self.index]

    @property
    def numbers(self) -> Tensor:
        """The numbers themselves, to be written to."""
        return self.within(self.view.owner.detach())


@dataclass(frozen=True)
class Norm:
    """The channel of a normalisation by running statistics: its mean and variance, its scale and shift."""

    mean: Part
    variance: Part
    scale: Part | None
    shift: Part | None

    @property
    def channel(self) -> int:
        """Its number, on axis 1."""
        (number,) = self.mean.index
        assert isinstance(number, int)
        return number

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of them."""
        return tuple(part for part in (self.mean, self.variance, self.scale, self.shift) if part is not None)


@dataclass(frozen=True)
class Row:
    """What makes one output of a layer: its weights, and its bias if there is one."""

    #: of the output, on axis 1
    number: int
    weight: Part
    bias: Part | None
    #: how many products each of its outputs is a sum of
    inputs: int


@dataclass(frozen=True)
class Unit:
    """A unit whose output can be silenced, and what it takes to draw it anew."""

    site: str
    number: int
    row: Row
    norms: tuple[Norm, ...]
    #: the weights that its output is multiplied by
    reads: tuple[Part, ...]

    @property
    def key(self) -> tuple[str, int]:
        """By which it is known."""
        return self.site, self.number

    @property
    def incoming(self) -> tuple[Part, ...]:
        """All that makes it what it is."""
        row = (self.row.weight,) if self.row.bias is None else (self.row.weight, self.row.bias)
        return (*row, *(part for norm in self.norms for part in norm.parts))

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that changes when it is revived."""
        return (*self.incoming, *self.reads)


class Parameters:
    """The parameters and buffers of a model, known by their memory, and which of it a forward pass reads how often."""

    def __init__(self, model: nn.Module) -> None:
        self._owners: dict[int, list[tuple[str, Tensor]]] = {}
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            self._owners.setdefault(tensor.untyped_storage().data_ptr(), []).append((name, tensor))
        self._reads: dict[str, list[tuple[int, int]]] = {}

    def view(self, tensor: Tensor | None) -> View | None:
        """Return what a tensor is a view of; None if it is of no parameter or buffer."""
        if tensor is None:
            return None
        for name, owner in self._owners.get(tensor.untyped_storage().data_ptr(), ()):
            offset = int(tensor.storage_offset()) - int(owner.storage_offset())
            if 0 <= offset < max(owner.numel(), 1):
                return View(name, tuple(tensor.shape), tuple(tensor.stride()), offset, owner)
        return None

    def read(self, view: View) -> None:
        """Take in that an operation reads a view."""
        self._reads.setdefault(view.name, []).append(view.span)

    def once(self, view: View) -> bool:
        """Say whether one operation alone has read any of the view's memory."""
        low, high = view.span
        return sum(begin < high and low < end for begin, end in self._reads.get(view.name, ())) == 1
