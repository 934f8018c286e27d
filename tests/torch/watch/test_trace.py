"""Watching leaves no trace: not after success, not after an error anywhere, not after Ctrl-C."""

import hashlib
import os
import random
import signal
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._dynamo import eval_frame
from torch.nn.modules import module as all_modules

from leaky.torch.watch import Watch, undisturbed, watch

HOOKS = [name for name in vars(all_modules) if name.startswith("_global_") and "hooks" in name]
EXTRA = "_hooks"


class Restless(nn.Module):
    """A network that changes whatever it can: buffers, random states, switches, threads."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.block = nn.Sequential(nn.Dropout(0.5), nn.ReLU(inplace=True), nn.Flatten())
        self.layer = nn.Linear(64, 4)
        self.encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.register_buffer("calls", torch.zeros(3))
        self.register_buffer("cache", torch.zeros(2))
        self.register_buffer("nothing", None)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.cache = torch.ones(5)
        self.register_buffer("late", torch.ones(1), persistent=False)
        torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
        torch.set_grad_enabled(False)
        torch.set_num_threads(torch.get_num_threads() + 1)
        x = self.layer(self.block(self.norm(self.conv(x))))
        torch.set_grad_enabled(True)
        return F.relu(self.encoder(x[:, None]))


@pytest.fixture
def model() -> Restless:
    model = Restless()
    model.norm.eval()  # frozen, in a network in training
    model.block[0].training = False
    for parameter in model.conv.parameters():
        parameter.grad = torch.randn_like(parameter)
    model.layer.register_forward_hook(lambda *_: None)
    return model


def digest(tensors: dict[str, Tensor | None]) -> str:
    sha = hashlib.sha256()
    for name, tensor in tensors.items():
        sha.update(name.encode())
        sha.update(b"" if tensor is None else tensor.detach().numpy().tobytes())
    return sha.hexdigest()


def state(model: nn.Module) -> dict[str, Any]:
    """Return all that must be as before."""
    modules = dict(model.named_modules())
    return {
        "parameters": digest(dict(model.named_parameters())),
        "buffers": [(name, {key: id(b) for key, b in module._buffers.items()}) for name, module in modules.items()],
        "contents": digest(dict(model.named_buffers())),
        "gradients": digest({name: parameter.grad for name, parameter in model.named_parameters()}),
        "gradients' places": [id(parameter.grad) for parameter in model.parameters()],
        "flags": {name: module.training for name, module in modules.items()},
        "hooks": {
            name: {key: list(value.items()) for key, value in vars(module).items() if key.endswith(EXTRA)}
            for name, module in modules.items()
        },
        "all hooks": {name: dict(vars(all_modules)[name]) for name in HOOKS},
        "attributes": {name: sorted(vars(module)) for name, module in modules.items()},
        "torch": torch.get_rng_state().tolist(),
        "numpy": str(np.random.get_state()),  # noqa: NPY002
        "python": random.getstate(),
        "grad mode": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "modes": torch._C._len_torch_dispatch_stack(),
        "stance": eval_frame._stance.stance,
    }


def run(model: nn.Module, x: Tensor) -> None:
    with undisturbed(model), watch(model, gradients=True) as seen:
        seen.backward(model(x).sum())
        loss = model(x).sum()
        if loss.requires_grad:
            loss.backward()


X = torch.randn(3, 2, 4, 4)


def test_the_state_that_is_compared_is_seen_to_change(model: Restless) -> None:
    before = state(model)
    model.train()
    model(X).sum().backward()
    random.random()
    handle = all_modules.register_module_forward_hook(lambda *_: None)
    model.conv.register_forward_pre_hook(lambda *_: None)
    with torch.no_grad():
        model.layer.bias += 1
    model.more = 1
    with torch.no_grad(), Watch(model), torch.compiler.set_stance("force_eager"):
        torch.backends.mha.set_fastpath_enabled(not before["fast path"])
        after = state(model)
    handle.remove()
    torch.set_num_threads(before["threads"])
    torch.backends.mha.set_fastpath_enabled(before["fast path"])
    assert {key for key in before if before[key] == after[key]} == set()


def test_nothing_is_left_after_success(model: Restless) -> None:
    before = state(model)
    run(model, X)
    assert state(model) == before


@pytest.mark.parametrize("grad", [False, True])
def test_the_grad_mode_is_put_back(model: Restless, grad: bool) -> None:
    with torch.set_grad_enabled(grad):
        run(model, X)
        assert torch.is_grad_enabled() is grad


def fail(error: Callable[[], BaseException]) -> Callable[..., None]:
    def hook(*_: object, **__: object) -> None:
        raise error()

    return hook


def interrupt(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):  # until it arrives
        pass


PLACES = [name for name, _ in Restless().named_modules()]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("when", ["before", "within", "after"])
@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_left_after_an_error_in_any_module(
    model: Restless, place: str, when: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = model.get_submodule(place)
    if when == "within":
        monkeypatch.setattr(type(module), "forward", fail(error))
    elif when == "before":
        module.register_forward_pre_hook(fail(error))
    else:
        module.register_forward_hook(fail(error))
    before = state(model)
    if place.startswith("encoder.self_attn.out_proj"):  # its weights are used, it is not called
        run(model, X)
    else:
        with pytest.raises(error):
            run(model, X)
    assert state(model) == before


@pytest.mark.parametrize("place", ["", "conv", "block.1", "encoder.linear1"])
def test_nothing_is_left_after_ctrl_c(model: Restless, place: str) -> None:
    model.get_submodule(place).register_forward_hook(interrupt)
    before = state(model)
    with pytest.raises(KeyboardInterrupt):
        run(model, X)
    assert state(model) == before


def test_the_names_are_right_after_an_error_that_the_network_survives() -> None:
    class Surviving(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fails = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 6))
            self.layer = nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            try:
                return self.fails(x)
            except RuntimeError:
                return F.relu(self.layer(x))

    model = Surviving()
    with watch(model) as seen:
        model(torch.randn(5, 3))
        model(torch.randn(5, 3))
    found = {name: (site.fed_by, evidence.samples) for name, (site, evidence) in seen.sites.items()}
    assert found == {"fails.1": ("fails.0", 10), "relu()": ("layer", 10)}


def test_a_failed_pass_does_not_spoil_the_next() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.Sigmoid())
    with watch(model) as seen:
        with pytest.raises(RuntimeError):
            model(torch.randn(5, 2))
        model(torch.randn(5, 3))
        handle = model[2].register_forward_hook(fail(ZeroDivisionError))
        with pytest.raises(ZeroDivisionError):
            model(torch.randn(5, 3))
        handle.remove()
        model(torch.randn(5, 3))
    assert {name: evidence.samples for name, (_, evidence) in seen.sites.items()} == {"1": 15, "3": 10}


def test_another_thread_than_the_one_that_made_it_may_watch() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    seen = Watch(model)

    def train() -> None:
        with seen.watching():
            model(torch.randn(5, 3))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    with seen.watching():
        model(torch.randn(5, 3))
    assert {name: evidence.samples for name, (_, evidence) in seen.sites.items()} == {"1": 10}


def test_what_is_outside_the_model_is_none_of_ours() -> None:
    model, other = nn.Sequential(nn.Linear(3, 4), nn.ReLU()), nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with watch(model) as seen:
        F.relu(other(model(torch.randn(5, 3))))
        torch.tanh(torch.randn(3))
    assert list(seen.sites) == ["1"]


def test_evaluating_keeps_statistics_and_flags_apart() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Sequential(nn.BatchNorm1d(3).eval()))
    with undisturbed(model):
        assert not any(module.training for module in model.modules())
        model(torch.randn(5, 3))
    assert [module.training for module in model.modules()] == [True, True, True, False]
    assert model[0].num_batches_tracked == 0


class Growing(nn.Module):
    """Changes numbers, sizes and types of its buffers in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
        self.register_buffer("cache", torch.arange(2.0))
        self.register_buffer("narrow", torch.arange(3.0))
        self.register_buffer("last", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        self.cache.resize_(5).fill_(1.0)
        self.narrow.data = self.narrow.data.half()
        self.last.fill_(7.0)
        self.first.running_mean.fill_(7.0)
        return x


def test_buffers_that_change_their_size_or_type_are_put_back() -> None:
    model = Growing()
    before = {name: (id(buffer), buffer.clone()) for name, buffer in model.named_buffers()}
    with undisturbed(model):
        model(torch.randn(5, 3))
    for name, buffer in model.named_buffers():
        assert id(buffer) == before[name][0]
        assert torch.equal(buffer, before[name][1])
        assert buffer.dtype == before[name][1].dtype


@pytest.mark.parametrize("place", ["first.running_mean", "cache", "last"])
def test_a_buffer_that_cannot_be_put_back_keeps_no_other_from_it(place: str) -> None:
    model = Growing()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    lost = model.get_buffer(place)
    with pytest.raises(RuntimeError, match="refers to a single memory location"), undisturbed(model):  # noqa: PT012
        model(torch.randn(5, 3))
        lost.data = torch.ones(1).expand(before[place].shape)
    assert model.training
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers() if name != place)


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (nn.Sequential(nn.LazyLinear(4), nn.ReLU()), "model: 0, LazyLinear, is still to be initialised"),
        (
            nn.LazyBatchNorm1d(),
            "model: it, LazyBatchNorm1d, is still to be initialised; expected a network that has run once",
        ),
    ],
)
def test_a_network_that_is_not_there_yet(model: nn.Module, text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}"), undisturbed(model):
        pass
    model(torch.randn(3, 4))
    with undisturbed(model):
        model(torch.randn(3, 4))


def test_gradients_there_are_none_within(model: Restless) -> None:
    kept = model.conv.weight.grad
    with undisturbed(model):
        assert model.conv.weight.grad is None
    assert model.conv.weight.grad is kept
