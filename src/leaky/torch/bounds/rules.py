"""The table of rules: what an operation does to bounds, by the operation's name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from leaky.torch.bounds.rounding import Arithmetic, Interval, arithmetic

#: what a rule is given for a tensor that varies, and for one that does not
Operand = Interval | Tensor


class Call(NamedTuple):
    """The call of an operation: itself, not in place, and the floating type it computes in."""

    operation: Any
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """The operation's name, without its overload."""
        return str(self.operation.overloadpacket.__name__)

    @property
    def numbers(self) -> Arithmetic:
        """The arithmetic of the type."""
        return arithmetic(self.dtype)

    def ends(self, operand: Any) -> tuple[Any, Any]:
        """Return the lower and the upper bounds of an operand. A number may be rounded before it is used."""
        if isinstance(operand, Interval):
            return operand
        if isinstance(operand, Tensor):
            constant = operand.double()
            if constant.dim() or not operand.is_floating_point() or operand.dtype == self.dtype:
                return constant, constant
            operand = constant.item()
        forms = [operand, *(torch.tensor(operand, dtype=dtype).item() for dtype in (torch.float32, self.dtype))]
        return min(forms), max(forms)


#: bounds of a result, or of each of several; None where nothing is known
Result = Interval | None | Sequence[Interval | None]

#: takes the call and the operation's arguments, with an Interval for each tensor that varies
Rule = Callable[..., Result]
R = TypeVar("R", bound=Rule)

#: by name of the operation, without its overload
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[R], R]:
    """Register a rule for operations of ``torch.ops.aten``, all overloads of them."""

    def register(function: R) -> R:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register
