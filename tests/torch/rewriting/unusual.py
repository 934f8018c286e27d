"""Networks that are written in unusual ways. They stand in a file of their own: some run other code than stands in them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial, wraps
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def bare(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorate without saying so."""

    def wrapper(*args: Any, **named: Any) -> Tensor:
        return function(*args, **named)

    return wrapper


def rectifying(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @wraps(function)
    def wrapper(self: Any, x: Tensor) -> Tensor:
        return F.relu(function(self, x))

    return wrapper


def by_default(x: Tensor, act: Any = F.relu) -> Tensor:
    y: Tensor = act(x)
    return y


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return F.relu(x)


def helper(x: Tensor) -> Tensor:
    return F.relu(x)


def other_helper(x: Tensor) -> Tensor:
    return F.relu(x) + torch.relu(-x)


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layer(x))


class Helped(Base):
    def forward(self, x: Tensor) -> Tensor:
        return helper(self.layer(x))


class Bare(Base):
    @bare
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layer(x))


class OldSuper(Base):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super(OldSuper, self).forward(x) - 1)  # noqa: UP008 - what is tested


class Arrow(Base):
    pass


Arrow.forward = lambda self, x: F.relu(self.layer(x))  # type: ignore[method-assign]


class Bound(Base):
    def __init__(self) -> None:
        super().__init__()
        self.step, self.steps = self._step, {"a": [], "b": self._step}
        self.part = partial(self._step, times=2)

    def _step(self, x: Tensor, times: int = 1) -> Tensor:
        return F.relu(self.layer(x)) * times

    def forward(self, x: Tensor) -> Tensor:
        return self.step(x) + self.steps["b"](x) + self.part(x)  # type: ignore[operator]


class Mapped(Base):
    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(lambda row: F.relu(self.layer(row)))(x) + torch.vmap(self.one)(x)

    def one(self, row: Tensor) -> Tensor:
        return F.relu(self.layer(row))


class Warming(Base):
    """Has a name of its own that ours must not hide."""

    warming, frozen = 2.0, 3.0

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layer(x)) * self.warming * self.frozen


class Cached(Base):
    @functools.cached_property
    def act(self) -> Any:
        return F.relu

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.layer(x))
        return y


def cached() -> Base:
    model = Cached()
    model(torch.zeros(1, 4))  # from now on the module itself holds it
    return model


def weight_norm() -> nn.Module:
    return nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 4)), nn.ReLU())


def decoder() -> nn.Module:
    return nn.TransformerDecoderLayer(4, 2, 8, batch_first=True)


def decoder_of_a_module() -> nn.Module:
    return nn.TransformerDecoderLayer(4, 2, 8, batch_first=True, activation=nn.ReLU())


#: all of whose rectifiers can be converted
ALL = [Bare, OldSuper, Arrow, Bound, Mapped, Warming, cached, weight_norm, decoder, decoder_of_a_module]


class Defaults(Base):
    def forward(self, x: Tensor, act: Any = F.relu) -> Tensor:
        y: Tensor = act(self.layer(x))
        return y


class HelpersDefault(Base):
    def forward(self, x: Tensor) -> Tensor:
        return by_default(self.layer(x))


class Decorated(Base):
    @rectifying
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y


class Table(Base):
    ACTS = {"relu": F.relu}  # noqa: RUF012 - as users write it

    def forward(self, x: Tensor) -> Tensor:
        return self.ACTS["relu"](self.layer(x))


class ByName(Base):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = getattr(F, "re" + "lu")(self.layer(x))
        return y


class MadeAnew(Base):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = nn.ReLU()(self.layer(x))
        return y


class OwnDerivative(Base):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = Own.apply(self.layer(x))
        return y


class Listed(Base):
    def __init__(self) -> None:
        super().__init__()
        self.acts = [nn.ReLU()]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.acts[0](self.layer(x))
        return y


class Config:
    def __init__(self) -> None:
        self.act = F.relu


class Configured(Base):
    def __init__(self) -> None:
        super().__init__()
        self.config = Config()

    def forward(self, x: Tensor) -> Tensor:
        return self.config.act(self.layer(x))


class Kept(Base):
    @functools.lru_cache  # noqa: B019 - as users write it
    def act(self) -> Any:
        return F.relu

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act()(self.layer(x))
        return y


def hooked() -> nn.Module:
    model = nn.Linear(4, 4)
    model.register_forward_hook(lambda module, inputs, output: F.relu(output))
    return model


def replaced() -> nn.Module:
    model = Base()
    model.forward = MethodType(lambda self, x: F.relu(self.layer(x)) * 2, model)  # type: ignore[method-assign]
    return model


#: what cannot be converted unless data show it, or not at all, with what is said of it where there are no data
SOME = {
    Defaults: "has one as the default of an argument",
    HelpersDefault: "has one as the default of an argument",
    Decorated: "is decorated with what may call one",
    Table: "takes what it calls from a list or a dictionary",
    ByName: "looks up by name what it calls",
    MadeAnew: "makes a module whenever it runs",
    OwnDerivative: "calls a function with a derivative of its own",
    Listed: "modules in a list or a dictionary of Python's, of which the network does not know",
    Configured: "an object that the module holds, and that holds one",
    Kept: "a _lru_cache_wrapper, which does not know its module or is no method",
    hooked: "a hook: what it calls is not seen",
    replaced: "its code was replaced on the module itself: what runs shows only on data, and none are given",
}
