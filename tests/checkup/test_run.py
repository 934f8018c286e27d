from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import leaky
from leaky.checkup import merge
from leaky.inputs import InputError

DEAD, RARE, ON = 3, 5, 7


@pytest.fixture
def planted() -> nn.Sequential:
    """A network whose first site has one unit of each kind, and others that live."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 4), nn.Tanh(), nn.Linear(4, 3))
    with torch.no_grad():
        model[0].bias[DEAD] = -100
        model[0].weight[RARE] = 0
        model[0].weight[RARE, 0] = 1
        model[0].bias[RARE] = -50
        model[0].bias[ON] = 100
    return model.train()


@pytest.fixture
def x() -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(1000, 8))
    x[17, 0] = 60
    return x


@pytest.fixture
def y() -> np.ndarray:
    return np.random.default_rng(1).integers(3, size=1000)


def found(check: leaky.Check) -> dict[str, tuple[int, ...]]:
    return {f"{f.code} {f.site}": f.units for f in check.findings}


def test_planted_units_are_found(planted: nn.Sequential, x: np.ndarray) -> None:
    check = leaky.check(planted, x, input_range="data")
    findings = found(check)
    assert findings["L002 1"] == (DEAD,)
    assert findings["L005 1"] == (RARE,)
    assert findings["L007 1"] == (ON,)
    assert "L003 1" not in findings
    assert check.samples == 1000
    assert check.input_range == (pytest.approx(x.min()), 60)
    assert not check.ok
    causes = {unit: cause.name for f in check.findings for cause in f.causes for unit in cause.units}
    assert causes == {DEAD: "bias too low"}


def test_proofs_are_of_the_range_that_is_given(planted: nn.Sequential, x: np.ndarray) -> None:
    x = x[:17]
    assert found(leaky.check(planted, x, input_range=(-4, 4)))["L002 1"] == (DEAD, RARE)
    assert found(leaky.check(planted, x, input_range=(-4, 70)))["L003 1"] == (RARE,)
    unproved = leaky.check(planted, x)
    assert found(unproved)["L003 1"] == (DEAD, RARE)
    assert unproved.input_range is None


def test_data_beyond_the_range_are_an_error(planted: nn.Sequential, x: np.ndarray) -> None:
    message = (
        r"^input_range: from −0\.1 to 0\.1, but the data lie from −[\d.]+ to [\d.]+; expected a range that holds them$"
    )
    with pytest.raises(InputError, match=message):
        leaky.check(planted, x[:17], input_range=(-0.1, 0.1))
    # The ends are as the network gets them, in its own type.
    assert leaky.check(planted, np.full((4, 8), 0.1), input_range=(0.0, 0.1)).input_range == (0.0, 0.1)


def test_a_proof_holds_for_what_is_never_seen(planted: nn.Sequential, x: np.ndarray) -> None:
    units = leaky.check(planted, x[:17], input_range=(-4, 4)).sites["1"].proved
    assert units is not None
    assert units.any()
    inputs = torch.empty(10_000, 8).uniform_(-4, 4).sign() * 4
    assert not (planted[0](inputs)[:, units] > 0).any()


class Pairs(torch.utils.data.Dataset[tuple[Tensor, int]]):
    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = torch.tensor(x, dtype=torch.float32), y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, at: int) -> tuple[Tensor, int]:
        return self.x[at], int(self.y[at])


class Stream(torch.utils.data.IterableDataset[tuple[Tensor, int]]):
    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        return (self.pairs[at] for at in range(len(self.pairs)))

    def __len__(self) -> int:
        raise NotImplementedError


FORMS: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "array": lambda x, y: x,
    "float32": lambda x, y: x.astype(np.float32),
    "big endian": lambda x, y: x.astype(">f4"),
    "tensor": lambda x, y: torch.tensor(x, dtype=torch.float32),
    "pair": lambda x, y: (x, y),
    "dict": lambda x, y: {"input": x},
    "list of batches": lambda x, y: [x[:500], x[500:]],
    "list of pairs": lambda x, y: [(x[:500], y[:500]), [x[500:], y[500:]]],
    "generator": lambda x, y: ({"input": part} for part in np.split(x, 8)),
    "loader": lambda x, y: torch.utils.data.DataLoader(Pairs(x, y), batch_size=100),
    "data set": lambda x, y: Pairs(x, y),
    "stream of samples": lambda x, y: Stream(Pairs(x, y)),
}


class NotIterable:
    def __iter__(self) -> Iterator[Any]:
        raise OSError("gone")


@pytest.mark.parametrize("form", FORMS)
def test_data_of_every_form(planted: nn.Sequential, x: np.ndarray, y: np.ndarray, form: str) -> None:
    steps: list[tuple[int, int | None]] = []
    check = leaky.check(planted, FORMS[form](x, y), progress=lambda done, total: steps.append((done, total)))
    evidence = check.sites["1"].evidence
    assert (check.samples, evidence.samples) == (1000, 1000)
    assert evidence.active_samples[[DEAD, RARE, ON]].tolist() == [0, 1, 1000]
    assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
    assert {total for _, total in steps} == {None if form in ("generator", "stream of samples") else len(steps)}


def test_batches_without_samples_count_as_batches(planted: nn.Sequential, x: np.ndarray) -> None:
    steps: list[tuple[int, int | None]] = []
    check = leaky.check(planted, [x[:0], x[:5], x[:0], x[:5]], progress=lambda done, total: steps.append((done, total)))
    assert check.samples == 10
    assert steps == [(2, 4), (4, 4)]


def test_an_array_is_split(planted: nn.Sequential, x: np.ndarray) -> None:
    sizes = []
    planted.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    leaky.check(planted, x, batch_size=300)
    leaky.check(planted, x[:70])
    leaky.check(planted, x[:70], batch_size=np.int64(50))
    assert sizes == [300, 300, 300, 100, 70, 50, 20]


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        ([], {}, "data: no samples; expected at least one"),
        (np.zeros((0, 8)), {}, "data: no samples"),
        (7, {}, "data: int; expected an array, a tuple (x, y), or an iterable of batches"),
        ("x.npy", {}, "data: str; expected an array"),
        (["x"], {}, "data: batch 0: str; expected an array, a tuple (x, y) or a dict of arguments"),
        ([np.zeros((4, 8)), np.zeros((4, 9))], {}, "data: batch 1 failed: RuntimeError: mat1 and mat2 shapes"),
        ([np.zeros((4, 8))], {"batch_size": 4}, "batch_size: 4, while the data come in batches; expected none"),
        (np.zeros((4, 8)), {"batch_size": 0}, "batch_size: 0; expected a whole number of at least 1"),
        (np.zeros((4, 8)), {"batch_size": True}, "batch_size: True; expected a whole number of at least 1"),
        (np.zeros((4, 8)), {"batch_size": 2.0}, "batch_size: 2.0; expected a whole number of at least 1"),
        (Pairs(np.zeros((4, 8)), np.zeros(4)), {"batch_size": -1}, "batch_size: -1; expected a whole number"),
        ([np.zeros((0, 8)), np.zeros((4, 9))], {}, "data: batch 1 failed: RuntimeError: mat1 and mat2 shapes"),
        (NotIterable(), {}, "data: they cannot be gone through: OSError: gone"),
        ((np.zeros((4, 8)), np.zeros(5)), {}, "data: arrays of 4 and 5 samples; expected as many in each"),
        (np.zeros(()), {}, "data: holds no array with an axis of samples"),
        (np.zeros((4, 8)), {"loss": "mse"}, "data: batch 0 failed: ValueError: there is no target for the loss"),
        (
            np.zeros((4, 8)),
            {"loss": "huber"},
            "loss: 'huber' is unknown; expected cross_entropy, mse, l1, bce, nll, model",
        ),
        ((np.zeros((4, 8)), np.zeros(4)), {"loss": lambda o, y: o}, "the loss is Tensor, not a scalar tensor"),
        (np.zeros((4, 8)), {"input_range": (1, 0)}, "input_range: (1, 0); expected two numbers, the lower one first"),
        (np.zeros((4, 8)), {"input_range": "all"}, "input_range: 'all'; expected two numbers"),
    ],
)
def test_bad_input_is_told_in_one_line(planted: nn.Sequential, data: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        leaky.check(planted, data, **more)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("use", [leaky.check, lambda model, x, **more: leaky.convert(model, data=x, **more)])
@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"trained": "no"}, TypeError, "trained: 'no'; expected True or False"),
        ({"trained": None}, TypeError, "trained: None; expected True or False"),
        ({"max_memory": "4GiB"}, TypeError, r"max_memory: '4GiB'; expected a number of bytes, such as 2\*\*30"),
        ({"max_memory": 0}, InputError, r"max_memory: 0; expected a number of bytes, such as 2\*\*30"),
    ],
)
def test_what_would_pass_for_something_else(
    planted: nn.Sequential,
    x: np.ndarray,
    use: Callable[..., Any],
    more: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        use(planted, x, **more)


def test_a_loader_that_fails(planted: nn.Sequential, x: np.ndarray) -> None:
    def loader() -> Iterator[np.ndarray]:
        yield x
        raise ValueError("disk\ngone")

    with pytest.raises(InputError, match=r"^data: batch 1 cannot be had: ValueError: disk gone"):
        leaky.check(planted, loader())


def test_no_network() -> None:
    with pytest.raises(InputError, match=r"model: int; expected a torch\.nn\.Module"):
        leaky.check(3, np.zeros((4, 8)))


def test_without_a_loss_there_is_no_gradient(planted: nn.Sequential, x: np.ndarray, y: np.ndarray) -> None:
    modes = []
    planted.register_forward_pre_hook(lambda module, inputs: modes.append((torch.is_grad_enabled(), module.training)))
    leaky.check(planted, x)
    assert set(modes) == {(False, False)}
    modes.clear()
    check = leaky.check(planted, (x, y), loss="cross_entropy")
    assert set(modes) == {(True, False)}
    assert check.sites["1"].gradient is not None
    assert check.loss


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        ("cross_entropy", lambda y: y),
        ("mse", lambda y: np.eye(3)[y]),
        ("l1", lambda y: np.eye(3)[y]),
        ("bce", lambda y: np.eye(3, dtype=int)[y]),
        (lambda output, target: (output.sum(1) - target).square().mean(), lambda y: y * 1.0),
    ],
)
def test_gradients_are_those_of_the_loss(
    planted: nn.Sequential, x: np.ndarray, y: np.ndarray, loss: Any, target: Callable[[np.ndarray], np.ndarray]
) -> None:
    x, y = x[:60], target(y[:60])
    check = leaky.check(planted, (x, y), loss=loss, batch_size=20)
    planted.eval()
    expected = np.zeros(4)
    for part in np.split(np.arange(60), 3):
        inner = planted[:5](torch.tensor(x[part], dtype=torch.float32)).detach().requires_grad_()
        labels = torch.tensor(y[part])
        labels = labels.float() if labels.is_floating_point() else labels
        named = {
            "cross_entropy": nn.functional.cross_entropy,
            "mse": nn.functional.mse_loss,
            "l1": nn.functional.l1_loss,
        }
        call = loss if callable(loss) else named.get(loss)
        output = planted[5](inner)
        value = (
            nn.functional.binary_cross_entropy_with_logits(output, labels.float())
            if call is None
            else call(output, labels)
        )
        expected += torch.autograd.grad(value, inner)[0].abs().sum(0).numpy()
    np.testing.assert_allclose(check.sites["4"].evidence.gradient.value(), expected, rtol=1e-5)


def test_a_frozen_network_has_gradients_too(planted: nn.Sequential, x: np.ndarray, y: np.ndarray) -> None:
    planted.register_parameter("unused", nn.Parameter(torch.ones(3)))  # no gradient reaches it
    learned = leaky.check(planted, (x, y), loss="cross_entropy").sites["1"].gradient
    planted.requires_grad_(False)
    assert leaky.check(planted, (x, y), loss="cross_entropy").sites["1"].gradient == pytest.approx(learned)


@pytest.mark.parametrize("data", [{"x": np.ones((4, 3)), "y": np.ones(4)}, (np.ones((4, 3)), np.ones(4))], ids=type)
def test_a_network_without_parameters_has_gradients(data: Any) -> None:
    class Rectified(nn.Module):
        def forward(self, x: Tensor, **labels: Tensor) -> Tensor:
            return torch.relu(x)

    seen = leaky.check(Rectified(), data, loss=lambda output, target: output.sum()).sites["relu()"]
    assert seen.evidence.gradient.value().tolist() == [12]


def test_no_trace_is_left(planted: nn.Sequential, x: np.ndarray, y: np.ndarray) -> None:
    data = torch.tensor(x, dtype=torch.float32)
    kept = data.clone()
    before = {name: value.clone() for name, value in planted.state_dict().items()}
    state = torch.get_rng_state()
    leaky.check(planted, (data, torch.tensor(y)), loss="cross_entropy")
    with pytest.raises(InputError):
        leaky.check(planted, [x, x[:, 1:]], loss="cross_entropy")
    assert all(module.training for module in planted.modules())
    assert all(p.grad is None and p.requires_grad for p in planted.parameters())
    assert all(torch.equal(value, before[name]) for name, value in planted.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(data, kept)
    assert not data.requires_grad
    assert torch.is_grad_enabled()


def test_shards_checked_apart_are_the_whole(planted: nn.Sequential, x: np.ndarray, y: np.ndarray) -> None:
    def run(a: int, b: int) -> leaky.Check:
        return leaky.check(planted, (x[a:b], y[a:b]), loss="cross_entropy", batch_size=50, input_range=(-60, 60))

    whole = json.dumps(run(0, 1000).to_dict())
    parts = [run(0, 100), run(100, 350), run(350, 1000)]
    assert json.dumps(merge(parts).to_dict()) == whole
    assert json.dumps(merge(parts[::-1]).to_dict()) == whole


def test_names_lead_through_wrappers(planted: nn.Sequential, x: np.ndarray) -> None:
    check = leaky.check(torch.compile(planted, backend="eager"), x)
    assert check.model == "Sequential"
    assert check.sites["1"].layer is not None


def test_importing_it_loads_no_framework() -> None:
    code = (
        "import sys, leaky; leaky.check; leaky.Check; print([n for n in ('torch', 'onnx', 'jax') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
