"""Nothing is converted in words alone: what is told to have changed has, whatever way a network is written in."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import leaky


def _unusual() -> Any:
    spec = importlib.util.spec_from_file_location("unusual_networks", Path(__file__).with_name("unusual.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


unusual = _unusual()
X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")


class Trace(TorchDispatchMode):
    """Counts operations that are rectifiers."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__.rstrip("_")
        if name in ("relu", "leaky_relu"):
            self.counts[name] += 1
        return function(*args, **(kwargs or {}))


def run(model: nn.Module) -> tuple[Tensor, Counter[str]]:
    inputs = (X[:, None], X[:, None]) if isinstance(model, nn.TransformerDecoderLayer) else (X,)
    with torch.no_grad(), Trace() as trace:
        return model(*inputs), trace.counts


def data_for(model: nn.Module) -> Any:
    return (X[:, None], X[:, None]) if isinstance(model, nn.TransformerDecoderLayer) else X


def made(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make().eval()


@pytest.mark.parametrize("with_data", [False, True], ids=["unseen", "on data"])
@pytest.mark.parametrize("make", unusual.ALL)
def test_all_is_converted(make: Callable[[], nn.Module], with_data: bool) -> None:
    model = made(make)
    before, counts = run(model)
    data = data_for(model) if with_data else None
    assert torch.equal(run(leaky.convert(model, 0.0, data=data).model)[0], before)
    conversion = leaky.convert(model, 0.1, data=data)
    after, leaks = run(conversion.model)
    assert leaks == {"leaky_relu": counts["relu"]}
    assert not with_data or len(conversion.changes) == counts["relu"]
    again, back = run(model)
    assert torch.equal(again, before)
    assert back == counts
    carried = [copy.deepcopy] if make in (unusual.cached, unusual.Arrow) else [copy.deepcopy, pickled]
    for carry in carried if make is not unusual.weight_norm else []:
        there, leaks = run(carry(conversion.model))
        assert torch.equal(there, after)
        assert leaks == {"leaky_relu": counts["relu"]}


def pickled(model: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(model))  # type: ignore[no-any-return]


@pytest.mark.parametrize("make", unusual.SOME)
def test_what_is_not_converted_is_told(make: Callable[[], nn.Module]) -> None:
    model = made(make)
    before, counts = run(model)
    unseen = leaky.convert(model, 0.1)
    assert unusual.SOME[make] in {left.reason for left in unseen.left}
    assert torch.equal(run(unseen.model)[0], before)
    assert unseen.changes == ()
    shown = leaky.convert(model, 0.1, data=X)
    leaks = run(shown.model)[1]
    assert leaks["leaky_relu"] == len(shown.changes)
    assert leaks["relu"] == counts["relu"] - len(shown.changes)
    assert not leaks["relu"] or shown.left


@pytest.mark.parametrize("make", [unusual.Defaults, unusual.HelpersDefault, unusual.Table, unusual.ByName])
def test_what_the_code_does_not_tell_data_show(make: Callable[[], nn.Module]) -> None:
    assert len(leaky.convert(made(make), 0.1, data=X).changes) == 1


def test_a_copy_that_runs_the_original_is_told() -> None:
    model = unusual.Base()
    forward = model.forward
    model.forward = lambda x: forward(x) * 2
    (note,) = leaky.convert(model, 0.1).notes
    assert (
        note
        == "the model: forward() runs parts of the network that was copied, not of the copy; inplace=True takes none."
    )
    assert leaky.convert(model, 0.1, inplace=True).notes == ()


def test_methods_are_bound_anew_at_each_conversion() -> None:
    model = leaky.convert(made(unusual.Bound), 0.1).model
    model = leaky.convert(model, 0.3).model
    expected = 4 * torch.nn.functional.leaky_relu(model.layer(X), 0.3)
    torch.testing.assert_close(model(X), expected)


@pytest.mark.filterwarnings("ignore")  # PyTorch's own, of its compiler
def test_a_rectifier_that_is_compiled_by_itself_is_told_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4), torch.compile(nn.ReLU(), backend="eager"))  # type: ignore[arg-type]
    conversion = leaky.convert(model, 0.1, data=X)
    assert [change.site for change in conversion.changes] == ["1"]
    assert conversion.left == ()


def test_code_that_is_exchanged_later_is_looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (None, X):
        assert run(leaky.convert(made(unusual.Helped), 0.1, data=data).model)[1] == {"leaky_relu": 1}
    monkeypatch.setattr(unusual, "helper", unusual.other_helper)  # as a cell of a notebook that is run again does
    for data in (None, X):
        model = made(unusual.Helped)
        conversion = leaky.convert(model, 0.1, data=data)
        assert run(conversion.model)[1] == {"leaky_relu": 2}
        assert torch.equal(run(leaky.convert(model, 0.0, data=data).model)[0], run(model)[0])
    monkeypatch.setattr(unusual.Helped, "forward", unusual.Base.forward)
    for data in (None, X):
        conversion = leaky.convert(made(unusual.Helped), 0.1, data=data)
        assert run(conversion.model)[1] == {"leaky_relu": len(conversion.changes)} == {"leaky_relu": 1}
