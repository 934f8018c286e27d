"""Code with Leaky ReLU in the places of other rectifiers does what it would do if it had been written so."""

from __future__ import annotations

import copy
import inspect
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import relu as early_bound
from torch.utils.checkpoint import checkpoint

from leaky.torch.rewriting import classes, places, sources

SLOPE = 0.3
TABLE = {"relu": F.relu}
relu_by_another_name = torch.relu


def helper(x: Tensor, depth: int = 1) -> Tensor:
    return torch.relu(x) if depth == 0 else helper(x, depth - 1)


class Net(nn.Module):
    """The base of the cases: a layer, and something after it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 5)

    def act(self, x: Tensor) -> Tensor:
        return leaky_or(F.relu)(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.layer(x))


def leaky_or(function: Any) -> Any:
    return function


class Methods(Net):
    def act(self, x: Tensor) -> Tensor:
        return F.relu(x)


class Inherited(Methods):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Above(Methods):
    def act(self, x: Tensor) -> Tensor:
        return super().act(x) + Methods.act(self, x)


class Helped(Net):
    def act(self, x: Tensor) -> Tensor:
        return helper(x, depth=2)


class Nested(Net):
    def act(self, x: Tensor) -> Tensor:
        def inner(y: Tensor) -> Tensor:
            return y.relu()

        outer = lambda y: F.relu(y)
        return sum((outer(each) for each in [inner(x), x]), x)


class Decorated(Net):
    @torch.no_grad()
    def act(self, x: Tensor) -> Tensor:
        """Act."""
        return F.relu(x)


class Imported(Net):
    def act(self, x: Tensor) -> Tensor:
        import torch.nn.functional as functional  # noqa: PLR0402
        from torch.nn.functional import relu as other

        return functional.relu(x) + other(2 * x)


class Private(Net):
    __scale = 2.0

    def __scaled(self, x: Tensor) -> Tensor:
        return F.relu(x) * self.__scale

    def act(self, x: Tensor) -> Tensor:
        return self.__scaled(x)


class Named(Net):
    def act(self, x: Tensor) -> Tensor:
        return early_bound(x) + relu_by_another_name(x) + next(map(F.relu, [x]))


class Keywords(Net):
    def act(self, x: Tensor) -> Tensor:
        return F.relu(input=x, inplace=False) + F.relu(x.clone(), True) + F.leaky_relu(negative_slope=0.7, input=x)


class Overwriting(Net):
    def act(self, x: Tensor) -> Tensor:
        y = x * 1
        F.relu(y, inplace=True)
        z = x * 1
        torch.relu_(z)
        w = x * 1
        w.relu_()
        return y + z + w


class Checkpointed(Net):
    reentrant = False

    def act(self, x: Tensor) -> Tensor:
        inner = self.inner
        return checkpoint(inner, x, use_reentrant=self.reentrant)  # type: ignore[no-any-return]

    def inner(self, x: Tensor) -> Tensor:
        return F.relu(x).square().sin()


class Reentrant(Checkpointed):
    reentrant = True


class OfTheClass(Net):
    relu, other = torch.relu, staticmethod(F.relu)

    def act(self, x: Tensor) -> Tensor:
        return self.relu(x) + self.other(x)


# what is left when each rectifier is leaky, written out
def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, SLOPE * x)


CASES: dict[type[Net], Callable[[Tensor], Tensor]] = {
    Methods: leaky,
    Inherited: lambda x: 2 * leaky(x),
    Above: lambda x: 2 * leaky(x),
    Helped: leaky,
    Nested: lambda x: x + leaky(leaky(x)) + leaky(x),
    Decorated: lambda x: leaky(x).detach(),
    OfTheClass: lambda x: 2 * leaky(x),
    Imported: lambda x: leaky(x) + leaky(2 * x),
    Private: lambda x: 2 * leaky(x),
    Named: lambda x: 3 * leaky(x),
    Keywords: lambda x: 3 * leaky(x),
    Overwriting: lambda x: 3 * leaky(x),
    Checkpointed: lambda x: leaky(x).square().sin(),
    Reentrant: lambda x: leaky(x).square().sin(),
}


def convert(model: nn.Module, slope: float = SLOPE) -> nn.Module:
    classes.convert_calls(model, dict.fromkeys(places.plain_places(classes.origin(model)), slope))
    return model


def gradients(output: Tensor, model: nn.Module) -> list[Tensor]:
    model.zero_grad()
    output.square().sum().backward()
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("cls", CASES, ids=lambda cls: cls.__name__)
def test_values_and_gradients_are_those_of_code_with_leaky_relu(cls: type[Net]) -> None:
    torch.manual_seed(0)
    plain, x = cls(), torch.randn(7, 6)
    model = convert(copy.deepcopy(plain))
    expected = CASES[cls](plain.layer(x))
    torch.testing.assert_close(model(x), expected)
    assert not torch.allclose(plain(x), expected)
    if expected.requires_grad:
        for got, wanted in zip(gradients(model(x), model), gradients(expected, plain), strict=True):
            torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize(
    "cls", [cls for cls in CASES if cls not in (Keywords, Reentrant)], ids=lambda cls: cls.__name__
)
def test_at_slope_0_nothing_changes(cls: type[Net]) -> None:
    plain = cls()
    x = torch.tensor([[0.0, -0.0, torch.inf, -torch.inf, torch.nan, -1.0]]) * torch.ones(7, 1)
    model = convert(copy.deepcopy(plain), 0.0)
    with torch.no_grad():
        for name in ("layer.weight", "layer.bias"):
            plain.get_parameter(name).copy_(torch.eye(5, 6) if "weight" in name else torch.zeros(5))
            model.get_parameter(name).copy_(plain.get_parameter(name))
        assert torch.equal(model.act(x).view(torch.int32), plain.act(x).view(torch.int32))


def test_the_methods_of_a_module_are_converted_however_they_are_called() -> None:
    model, x = convert(Methods()), torch.randn(3, 5)
    assert torch.equal(model.act(x), F.leaky_relu(x, SLOPE))


def test_a_slope_is_read_when_the_call_is_made() -> None:
    model, x = convert(Methods()), torch.randn(3, 5)
    model.leaky_slopes[0] = 0.5
    assert torch.equal(model.act(x), F.leaky_relu(x, 0.5))
    model.leaky_slopes[0] = 0.0
    assert torch.equal(model.act(x), F.relu(x))


def test_the_class_is_known_as_before() -> None:
    model = convert(Methods())
    assert isinstance(model, Methods)
    assert repr(model) == repr(Methods())
    assert type(model) is type(convert(Methods()))
    assert inspect.signature(model.forward) == inspect.signature(Methods().forward)
    assert convert(Decorated()).act.__doc__ == "Act."


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("cls", [Methods, Above, Helped, Private], ids=lambda cls: cls.__name__)
def test_a_copy_has_slopes_of_its_own(cls: type[Net], again: Callable[[nn.Module], Any]) -> None:
    model, x = convert(cls()), torch.randn(3, 6)
    other = again(model)
    assert torch.equal(other(x), model(x))
    other.leaky_slopes[:] = [0.9] * len(other.leaky_slopes)
    assert not torch.equal(other(x), model(x))
    assert [*other.state_dict()] == ["layer.weight", "layer.bias"]


class Stateful(Methods):
    """A network with a way of its own to be pickled."""

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "told": True}

    def __reduce__(self) -> Any:
        return make, (type(self), 3), self.__getstate__()


def make(cls: type[Stateful], number: int) -> Stateful:
    made = cls()
    made.number = number  # type: ignore[assignment]  # modules declare tensors and modules
    return made


def test_a_network_with_a_way_of_its_own_to_be_pickled() -> None:
    model, x = convert(Stateful()), torch.randn(3, 6)
    other = pickle.loads(pickle.dumps(model))
    assert (other.told, other.number, type(other)) == (True, 3, type(model))
    assert torch.equal(other(x), model(x))


def test_converting_again_changes_slopes_and_adds_places() -> None:
    model = Keywords()
    first, *others = places.plain_places(Keywords)
    classes.convert_calls(model, {first: 0.1})
    assert model.leaky_slopes == [0.1]
    classes.convert_calls(model, {first: 0.2, others[0]: 0.4})
    assert model.leaky_slopes == [0.2, 0.4]
    assert classes.origin(model) is Keywords
    assert classes.places(model) == (first, others[0])


def test_where_the_source_has_changed_it_is_said() -> None:
    (place,) = places.plain_places(Methods)
    moved = places.Place(**{**vars(place), "text": "F.selu"})
    with pytest.raises(RuntimeError, match=r"^Methods: the source of Methods\.act .* expected 'F\.selu' at test_calls"):
        classes.rewritten(Methods, (moved,))


def test_threads_do_not_mind_one_another() -> None:
    model, x = convert(Helped()), torch.randn(3, 6)
    expected, got = model(x), []
    threads = [threading.Thread(target=lambda: got.append(model(x))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert all(torch.equal(each, expected) for each in got)


def test_modules_and_other_functions_in_the_place_of_one_are_left_alone() -> None:
    class Either(Net):
        def __init__(self, relu: Any) -> None:
            super().__init__()
            self.relu = relu

        def act(self, x: Tensor) -> Tensor:
            relu = self.relu
            return relu(x) + self.relu(x) + TABLE["relu"](x)  # type: ignore[no-any-return]

    model, x = Either(torch.sigmoid), torch.randn(3, 5)
    assert places.plain_places(Either) == []
    assert torch.equal(model.act(x), 2 * x.sigmoid() + F.relu(x))


def test_a_name_that_is_a_local_variable_is_not_what_the_module_calls_so() -> None:
    class Local(Net):
        def act(self, x: Tensor, helper: Any = torch.tanh) -> Tensor:
            early_bound = torch.sigmoid
            return early_bound(x) + helper(x) + F.relu(x)  # type: ignore[no-any-return]

    assert [place.text for place in places.plain_places(Local)] == ["F.relu"]
    model, x = convert(Local()), torch.randn(3, 5)
    assert torch.equal(model.act(x), x.sigmoid() + x.tanh() + F.leaky_relu(x, SLOPE))


def test_source_that_is_not_what_runs_is_not_taken(tmp_path: Any) -> None:
    file, old = tmp_path / "changing.py", "def f(x):\n    return x.relu() * 2\n"

    def run() -> Any:
        names: dict[str, Any] = {}
        exec(compile(old, str(file), "exec"), names)  # noqa: S102
        return names["f"]

    file.write_text(old)
    assert sources.source_of(run()) is not None
    file.write_text("def f(x):\n    return x.relu() * 30\n")
    assert sources.source_of(run()) is None
    file.unlink()
    assert sources.source_of(run()) is None


def test_source_is_found_of_all_kinds_of_functions() -> None:
    factor = 2

    def around(x: int, /, *more: int, by: int = 3, **named: int) -> int:
        return (x + sum(more)) * by * factor

    either = (lambda x: x + factor, lambda x: x - factor)
    for function, expected in ((around, 30), (either[0], 4), (either[1], 0)):
        source = sources.source_of(function)  # type: ignore[arg-type]  # mypy takes it for any callable
        assert source is not None
        again: Any = sources.recompiled(function, source, {})  # type: ignore[arg-type]
        arguments = (2, 3) if function is around else (2,)
        assert again(*arguments) == function(*arguments) == expected
