"""The samples are told apart, however the inputs come."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky.torch.watch import watch
from leaky_tests.torch.watch.between import ROWS, Between


def test_samples_that_cannot_be_told_apart_are_one_for_each_batch() -> None:
    chosen = Between(nn.Linear(5, 6), lambda h: h[torch.tensor([0, 2, 3])])
    with watch(chosen) as seen:
        chosen(ROWS)
        chosen(ROWS)
    ((site, evidence),) = seen.sites.values()
    assert (site.units, evidence.samples, evidence.positions) == (6, 2, 6)
    assert site.note == "its samples could not be told apart: each batch is taken for one"


@dataclass
class Graph:
    times: Tensor
    x: Tensor


@dataclass(slots=True)
class Slotted:
    x: Tensor


class Bag:
    def __init__(self, x: Tensor) -> None:
        self.names, self.length, self.me = ["a", "b"], len(x), self
        self.x = {"first": [x]}


class Opaque:
    """It tells its tensor only to those who ask for it."""

    __slots__ = ("hidden",)

    def __init__(self, x: Tensor) -> None:
        self.hidden = x


UNTOLD = "its samples could not be told apart: each batch is taken for one"


@pytest.mark.parametrize(
    ("given", "x_of", "samples", "note"),
    [
        (lambda x: (Graph(torch.ones(1), x),), lambda graph: graph.x, 5, ""),
        (lambda x: (Slotted(x),), lambda slotted: slotted.x, 5, ""),
        (lambda x: (Bag(x),), lambda bag: bag.x["first"][0], 5, ""),
        (lambda x: (torch.ones(1), x), lambda time, x: x * time, 5, ""),
        (lambda x: (torch.tensor(1.0), x), lambda time, x: x * time, 5, ""),
        (lambda x: (torch.ones(2, 1, 1), x, torch.ones(5)), lambda state, x, lengths: x, 5, ""),
        (lambda x: (x[:1],), lambda x: x, 1, ""),
        (lambda x: (Opaque(x),), lambda opaque: opaque.hidden, 1, UNTOLD),
        (
            lambda x: (x,),
            lambda x: x.repeat(2, 1)[::2],
            5,
            "its samples are taken to lie on axis 0, which could not be told",
        ),
    ],
)
def test_samples_are_those_of_the_inputs_however_they_come(
    given: Callable[[Tensor], tuple[object, ...]], x_of: Callable[..., Tensor], samples: int, note: str
) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def forward(self, *inputs: object) -> Tensor:
            return self.layer(x_of(*inputs)).relu()

    model = Model()
    with watch(model) as seen:
        model(*given(torch.randn(5, 3)))
    ((site, evidence),) = seen.sites.values()
    assert (evidence.samples, site.units, site.note, seen.notes) == (samples, 4, note, [])


class Learned(nn.Module):
    """Learned queries, which meet the data in attention."""

    def __init__(self) -> None:
        super().__init__()
        self.queries, self.layer = nn.Parameter(torch.randn(3, 4)), nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        queries = self.queries.expand(len(x), 3, 4)
        return self.layer(F.scaled_dot_product_attention(queries, x, x)).relu()


def test_samples_come_by_whatever_of_the_operands_has_them() -> None:
    model = Learned()
    with watch(model) as seen:
        model(torch.randn(5, 7, 4))
    ((site, evidence),) = seen.sites.values()
    assert (evidence.samples, site.units, site.note) == (5, 6, "")


def test_inputs_that_cannot_be_looked_at_end_no_run() -> None:
    class Broken:
        def __init__(self, x: Tensor) -> None:
            self.x = x

        @property
        def values(self) -> object:
            raise ZeroDivisionError

    class Model(nn.Linear):
        def forward(self, broken: Broken) -> Tensor:
            return super().forward(broken.x).relu()

    model = Model(3, 4)
    with watch(model) as seen:
        model(Broken(torch.randn(5, 3)))
    ((site, evidence),) = seen.sites.values()
    assert (evidence.samples, site.units, site.note) == (1, 4, UNTOLD)
    assert seen.notes == ["the inputs could not be looked at (ZeroDivisionError: ): each batch is taken for one sample"]
