"""Watching sees through what is wrapped around a network, and says where it cannot."""

import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky.torch.watch import unwrapped, watch


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Sequential(nn.Linear(5, 4), nn.ReLU(inplace=True)))


X = torch.randn(4, 6)
EXPECTED = {"1": ("0", 5, 8), "2.1": ("2.0", 4, 8)}


def found(model: nn.Module, x: Tensor = X) -> dict[str, tuple[str | None, int, int]]:
    with torch.no_grad(), watch(model) as seen:
        model(x)
        model(x)
    return {name: (site.fed_by, site.units, evidence.samples) for name, (site, evidence) in seen.sites.items()}


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_compiled() -> None:
    model = torch.compile(network(), backend="eager")
    assert found(model) == EXPECTED
    with torch.no_grad():
        model(X)  # now it is compiled
    assert found(model) == EXPECTED


def test_compiled_in_place() -> None:
    model = network()
    model.compile(backend="eager")
    with torch.no_grad():
        model(X)
    assert found(model) == EXPECTED


def test_compiled_within() -> None:
    model = network()
    model[2] = torch.compile(model[2], backend="eager")
    with torch.no_grad():
        model(X)
    assert found(model) == EXPECTED


def test_the_compiler_is_as_before_afterwards() -> None:
    calls = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        calls.append(graph)
        return graph

    model = torch.compile(network(), backend=backend)
    found(model)
    assert calls == []
    with torch.no_grad():
        model(X)
    assert len(calls) == 1


def test_nothing_brings_the_compiler_in() -> None:
    """It takes seconds to import, and much memory."""
    code = (
        "import sys, torch; from torch import nn; from leaky.torch.watch import watch\n"
        "model = nn.Sequential(nn.Linear(6, 5), nn.ReLU())\n"
        "with watch(model, gradients=True) as seen: seen.backward(model(torch.randn(4, 6)).sum())\n"
        "assert list(seen.sites) == ['1']; print('torch._dynamo' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_data_parallel() -> None:
    assert found(nn.DataParallel(network())) == EXPECTED


@pytest.mark.usefixtures("one_process")
def test_distributed() -> None:
    model = nn.parallel.DistributedDataParallel(network())
    assert found(model) == EXPECTED
    assert found(torch.compile(model, backend="eager")) == EXPECTED
    assert unwrapped(torch.compile(model, backend="eager")) is model.module


def test_a_wrapper_by_the_name_of_module_is_kept() -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = network()

        def forward(self, x: Tensor) -> Tensor:
            return self.module(x)

    assert list(found(Wrapper())) == ["module.1", "module.2.1"]


@pytest.mark.parametrize("activation", ["relu", F.relu, nn.ReLU(), "gelu"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_the_fused_transformer_layer(activation: object, batch_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation=activation, batch_first=batch_first)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it would be faster with the batch first
        model = nn.TransformerEncoder(layer, 2).eval()
    x = torch.randn(4, 3, 8)
    with torch.no_grad():
        before = model(x)
    sites = found(model, x)
    if isinstance(activation, nn.Module):
        assert list(sites) == ["layers.0.activation", "layers.1.activation"]
    else:
        name = activation if isinstance(activation, str) else "relu"
        assert list(sites) == [f"layers.0.{name}()", f"layers.1.{name}()"]
    assert list(sites.values()) == [("layers.0.linear1", 16, 8), ("layers.1.linear1", 16, 8)]
    assert torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad():
        assert torch.equal(model(x), before)


def test_a_line_within_pytorchs_own_layers_is_named() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 16).eval()
    with watch(model) as seen:
        model(torch.randn(4, 3, 8))
    ((site, _),) = seen.sites.values()
    assert site.source is not None
    assert site.source.startswith("transformer.py:")


def test_graph_modules() -> None:
    assert found(torch.fx.symbolic_trace(network())) == EXPECTED


def test_graph_modules_with_functions() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.layer(x)).clamp(min=0) + F.relu(self.layer(x))

    model = torch.fx.symbolic_trace(Functional())
    assert list(found(model)) == ["relu()", "clamp()", "relu()[1]"]
    with watch(model) as seen:
        model(X)
    assert [site.source for site, _ in seen.sites.values()] == [None] * 3  # its code is made up


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_hides_the_names() -> None:
    note = "TorchScript keeps the names of its modules to itself"
    model = nn.Sequential(torch.jit.script(network()), nn.ReLU())
    with watch(model) as seen:
        model(X)
    assert {name: site.fed_by for name, (site, _) in seen.sites.items()} == {
        "0.relu()": "0.0",
        "0.relu()[1]": "0.2.0",
        "1": "0.2.0",
    }
    assert seen.notes == [f"0: {note}"]
    for whole in (torch.jit.script(network()), torch.jit.trace(network(), X)):
        with watch(whole) as seen:
            whole(X)
        assert {name: site.units for name, (site, _) in seen.sites.items()} == {"relu()": 5, "relu()[1]": 4}
        assert [site.source for site, _ in seen.sites.values()] == [None, None]
        assert seen.notes == [f"the model: {note}"]


def test_recurrent_layers_hide_their_steps() -> None:
    class Recurrent(nn.Module):
        def __init__(self, layer: nn.RNNBase) -> None:
            super().__init__()
            self.layer, self.relu = layer, nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(self.layer(x)[0])

    for layer in (
        nn.LSTM(6, 5, batch_first=True),
        nn.GRU(6, 5, batch_first=True),
        nn.RNN(6, 5, nonlinearity="relu", batch_first=True),
    ):
        model = Recurrent(layer)
        with watch(model) as seen:
            model(torch.randn(4, 3, 6))
        assert [(name, site.units, site.judged) for name, (site, _) in seen.sites.items()] == [("relu", 5, True)]
        kind = type(layer).__name__
        assert seen.notes == [f"layer: nn.{kind} does its steps in one call: its units are not seen"]


def test_cells_called_step_by_step_are_seen_step_by_step() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.RNNCell(6, 5, nonlinearity="relu")

        def forward(self, x: Tensor) -> Tensor:
            state = None
            for step in x.unbind(dim=1):
                state = self.cell(step, state)
            return state

    assert found(Loop(), torch.randn(4, 3, 6)) == dict.fromkeys(
        ("cell.relu()", "cell.relu()[1]", "cell.relu()[2]"), ("cell", 5, 8)
    )


def test_modules_made_on_the_way_or_not_called_go_by_their_caller() -> None:
    class OnTheWay(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.act = nn.Linear(6, 5), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.act.forward(nn.Tanh()(self.layer(x)))

    model = OnTheWay()
    with watch(model) as seen:
        model(X)
    assert {name: site.fed_by for name, (site, _) in seen.sites.items()} == {"tanh()": "layer", "relu()": "layer"}
    assert all(site.source and site.source.startswith("test_wrappers.py:") for site, _ in seen.sites.values())


def test_operations_that_hide_what_they_do_are_noted() -> None:
    @torch.library.custom_op("leaky_tests::hidden", mutates_args=())
    def hidden(x: Tensor) -> Tensor:
        return F.relu(x)

    class Hiding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.act = nn.Linear(6, 5), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.act(hidden(hidden(self.layer(x))))

    model = Hiding()
    with torch.no_grad(), watch(model) as seen:
        model(X)
    ((site, _),) = seen.sites.values()
    assert (site.name, site.judged, site.axis) == ("act", True, None)
    assert seen.notes == ["the model: what leaky_tests::hidden does inside is not seen"]


@pytest.mark.parametrize("kind", ["arguments", "keywords", "mapping", "nested"])
def test_the_samples_are_counted_on_inputs_of_every_kind(kind: str) -> None:
    class Inputs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 5)

        def forward(self, *args: object, **kwargs: object) -> Tensor:
            value = kwargs.get("x", args[-1] if args else None)
            while not isinstance(value, Tensor):
                value = value["x"] if isinstance(value, dict) else value[-1]
            return F.relu(self.layer(value).flatten(0, 1))  # samples and positions in one

    model, x = Inputs(), torch.randn(4, 3, 6)
    with watch(model) as seen:
        for _ in range(2):
            {
                "arguments": lambda: model("text", x),
                "keywords": lambda: model(None, x=x),
                "mapping": lambda: model({"n": 3, "x": x}),
                "nested": lambda: model([(torch.tensor(1.0), x)]),
            }[kind]()
    ((site, evidence),) = seen.sites.values()
    assert (evidence.samples, evidence.positions, site.shape) == (8, 24, (3, 5))


def test_a_network_that_calls_itself_is_one_batch() -> None:
    class Itself(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.relu = nn.Linear(6, 5), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            if x.ndim == 3:
                return torch.stack([self(part) for part in x.unbind(dim=1)], dim=1)
            return self.relu(self.layer(x))

    assert found(Itself(), torch.randn(4, 2, 6)) == {"relu": ("layer", 5, 8), "relu[1]": ("layer", 5, 8)}


def test_other_threads_are_left_alone() -> None:
    mine, others = network(), network()
    go, done = threading.Event(), threading.Event()

    def elsewhere() -> None:
        go.wait(10)
        for _ in range(50):
            others(X)
            mine(X)
        done.set()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    with torch.no_grad(), watch(mine) as seen:
        go.set()
        while not done.is_set():
            mine(X)
        mine(X)
        samples = {evidence.samples for _, evidence in seen.sites.values()}
    thread.join()
    assert len(samples) == 1
    assert list(seen.sites) == ["1", "2.1"]


def test_two_watches_at_once_see_the_same() -> None:
    model = network()
    with watch(model) as outer, watch(model) as inner:
        model(X)
    assert list(outer.sites) == list(inner.sites) == ["1", "2.1"]


def test_what_is_remembered_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leaky.torch.watch.origin._REMEMBERED", 10)
    monkeypatch.setattr("leaky.torch.watch.sites._REMEMBERED", 10)
    model = network()
    with torch.no_grad(), watch(model) as seen:
        for size in range(1, 40):
            model(torch.randn(size, 6))
        assert len(seen._origins._remembered) < 30
        assert len(seen._origins._inputs) < 30
        assert len(seen._origins._known) < 30
        assert len(seen._sites._places) < 30
    assert [evidence.samples for _, evidence in seen.sites.values()] == [780, 780]
