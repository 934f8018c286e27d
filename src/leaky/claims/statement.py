"""A statement, and how it is put to the test: written down before the test is run; what was changed after that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Published:
    """What was found by others."""

    side: Literal["for", "against", "between"]
    #: in a sentence
    finding: str
    #: where it can be read: "He et al. 2015, arXiv:1502.01852"
    reference: str


@dataclass(frozen=True)
class Statement:
    """What an article says, and by which measurement it is judged; a definition is shown instead."""

    #: "S7"
    id: str
    #: a sentence
    text: str
    #: whether it is defined and shown, or tested
    how: Literal["define", "test"]
    #: network, data, seeds, what is measured: enough to repeat it
    recipe: str = ""
    #: what would have to be measured for it to hold, to hold on a condition only, or not to hold
    criterion: str = ""
    published: tuple[Published, ...] = ()
