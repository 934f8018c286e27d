"""The callbacks, in the training loops that they are for."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from leaky.torch import LeakyReLU
from leaky.torch.callbacks import (
    LightningMonitor,
    LightningSlopeSchedule,
    TransformersMonitor,
    TransformersSlopeSchedule,
)

# Their own, with newer releases of PyTorch.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec:FutureWarning",
    "ignore:.*torch.jit.script_method:DeprecationWarning",
    "ignore:.*gradient_checkpointing_enable:FutureWarning",
    "ignore:.*does not have many workers",
    "ignore:.*is smaller than the logging interval",
)


Switched = Callable[[], dict[str, Any]]


class Lit(lightning.LightningModule):
    """One unit that fires in odd epochs alone, one that always does; the module's own forward is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 2), nn.Dropout(0.5), nn.ReLU(), nn.Linear(2, 1))
        self.error: BaseException | None = None

    def on_train_epoch_start(self) -> None:
        with torch.no_grad():
            self.net[0].weight.zero_()
            self.net[0].bias.copy_(torch.tensor([1.0 if self.current_epoch % 2 else -1.0, 1.0]))

    def training_step(self, batch: list[Tensor], number: int) -> Tensor:
        output = self.net(batch[0])
        if self.error is not None:
            raise self.error
        return torch.relu(1 - output).mean() * 0 + output.mean()  # as a hinge loss

    def validation_step(self, batch: list[Tensor], number: int) -> None:
        self.net(torch.full_like(batch[0], 1e9))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def fit(model: Lit, *callbacks: lightning.Callback, folder: Path, epochs: int = 4) -> lightning.Trainer:
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=list(callbacks),
    )
    data = DataLoader(TensorDataset(torch.ones(6, 1)), batch_size=2)
    trainer.fit(model, data, data)
    return trainer


def test_lightning(tmp_path: Path) -> None:
    callback = LightningMonitor()
    model = Lit()
    torch.manual_seed(0)
    trainer = fit(model, callback, folder=tmp_path)
    after = torch.get_rng_state()
    monitor = callback.monitor
    assert monitor is not None
    assert [event for event in monitor.events if event.site == "net.2"] == [
        (2, "net.2", 0, "revival"),
        (3, "net.2", 0, "death"),
        (4, "net.2", 0, "revival"),
    ]
    assert [(window.batches, window.seen["net.2"]) for window in monitor.history] == [(3, 6)] * 4
    assert monitor.sites["net.2"].fed_by == "net.0"
    assert trainer.callback_metrics["dead_units"] == sum(monitor.history[-1].dead.values())
    model = Lit()
    torch.manual_seed(0)
    fit(model, folder=tmp_path)
    assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize(("steps", "windows"), [(4, [2, 2, 2]), (5, [3, 3, 1]), (12, [6]), (20, [6])])
def test_lightning_in_windows_of_steps(steps: int, windows: list[int], tmp_path: Path) -> None:
    callback = LightningMonitor(every=2, steps=steps)
    fit(Lit(), callback, folder=tmp_path)
    assert callback.monitor is not None
    assert [window.batches for window in callback.monitor.history] == windows


def test_lightning_with_two_monitors(tmp_path: Path, switched: Switched) -> None:
    """Which are told of the end of a forward pass in the order in which they were told of its beginning."""
    callbacks = LightningMonitor(), LightningMonitor(every=2)
    fit(Lit(), *callbacks, folder=tmp_path)
    assert not switched()
    seen = [[window.seen for window in each.monitor.history] for each in callbacks]
    assert seen == [[{"net.2": 6, "relu()": 6}] * 4, [{"net.2": 4, "relu()": 4}] * 4]


@pytest.mark.parametrize(("error", "shown"), [(ValueError("no step"), ValueError), (KeyboardInterrupt(), SystemExit)])
def test_lightning_leaves_nothing_after_an_error(
    error: BaseException, shown: type[BaseException], tmp_path: Path, switched: Switched
) -> None:
    callback, model = LightningMonitor(), Lit()
    model.error = error
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(shown):
        fit(model, callback, folder=tmp_path)
    signal.signal(signal.SIGINT, handler)  # which Lightning takes off
    assert not switched()


def test_the_callers_lightning_is_taken() -> None:
    code = (
        "import pytorch_lightning as pl, sys; from leaky.torch.callbacks import LightningMonitor; "
        "assert issubclass(LightningMonitor, pl.Callback); assert 'lightning.pytorch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def opt() -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    config = transformers.OPTConfig(
        vocab_size=16, hidden_size=8, ffn_dim=6, num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=8
    )
    model = transformers.OPTForCausalLM(config)
    nn.init.constant_(model.model.decoder.layers[1].fc1.bias[:4], -100)
    return model


def train(model: nn.Module, folder: Path, *callbacks: transformers.TrainerCallback, **settings: Any) -> None:
    torch.manual_seed(1)
    data = [{"input_ids": ids, "labels": ids} for ids in torch.randint(0, 16, (24, 5))]
    arguments = transformers.TrainingArguments(
        str(folder),
        num_train_epochs=2,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        learning_rate=1e-3,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        logging_strategy="no",
        eval_strategy="epoch",
        **settings,
    )
    transformers.Trainer(model, arguments, train_dataset=data, eval_dataset=data, callbacks=list(callbacks)).train()


@pytest.mark.parametrize("checkpointing", [False, True])
def test_transformers(checkpointing: bool, tmp_path: Path) -> None:
    callback = TransformersMonitor()
    watched, plain = opt(), opt()
    if checkpointing:
        watched.gradient_checkpointing_enable()
        plain.gradient_checkpointing_enable()
    train(watched, tmp_path, callback)
    train(plain, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(watched.parameters(), plain.parameters(), strict=True))
    monitor = callback.monitor
    assert monitor is not None
    names = [f"model.decoder.layers.{number}.activation_fn" for number in (0, 1)]
    assert list(monitor.sites) == names
    assert [(window.batches, window.seen) for window in monitor.history] == [(12, dict.fromkeys(names, 24))] * 2
    assert monitor.dead[names[1]].tolist() == [True] * 4 + [False] * 2
    assert watched._compiled_call_impl is None


@pytest.mark.parametrize(("steps", "windows"), [(4, [2, 2, 2]), (5, [3, 3, 1]), (12, [6])])
def test_transformers_in_windows_of_steps(steps: int, windows: list[int], tmp_path: Path) -> None:
    callback = TransformersMonitor(every=4, steps=steps)
    train(opt(), tmp_path, callback)
    assert callback.monitor is not None
    assert [window.batches for window in callback.monitor.history] == windows


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_transformers_leaves_nothing_after_an_error(
    error: type[BaseException], tmp_path: Path, switched: Switched
) -> None:
    def fail(*_: object) -> None:
        raise error

    callback, model = TransformersMonitor(), opt()
    handle = model.model.decoder.layers[1].register_forward_hook(fail)
    with pytest.raises(error):
        train(model, tmp_path, callback)
    assert not switched()
    # The next training has a monitor of its own.
    handle.remove()
    train(model, tmp_path, callback)
    assert callback.monitor is not None
    assert [window.batches for window in callback.monitor.history] == [12, 12]
    assert model._compiled_call_impl is None
    # Nor is it followed once the callback is gone.
    model.model.decoder.layers[1].register_forward_hook(fail)
    with pytest.raises(error):
        train(model, tmp_path, callback)
    assert model._compiled_call_impl is not None
    del callback
    gc.collect()
    assert model._compiled_call_impl is None


def test_transformers_says_what_it_cannot_follow(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^torch_compile: True; expected False"):
        train(opt(), tmp_path, TransformersMonitor(), torch_compile=True)


def test_frameworks_are_loaded_when_they_are_asked_for() -> None:
    code = (
        "import sys, leaky.torch.callbacks as callbacks; assert not {'lightning', 'transformers'} & {*sys.modules}; "
        "callbacks.TransformersMonitor; assert 'lightning' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


class Slopes(lightning.LightningModule):
    """Remembers the slope at each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 2), LeakyReLU(0.7), nn.Linear(2, 1))
        self.seen: list[float] = []

    def training_step(self, batch: list[Tensor], number: int) -> Tensor:
        self.seen.append(self.net[1].negative_slope)
        return self.net(batch[0]).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def fit_slopes(folder: Path, epochs: int, checkpoint: Path | None = None, **settings: Any) -> Slopes:
    """Train on three batches an epoch."""
    model = Slopes()
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[LightningSlopeSchedule(to=0.4, steps=4, warmup=1)],
        **settings,
    )
    trainer.fit(model, DataLoader(TensorDataset(torch.ones(6, 1)), batch_size=2), ckpt_path=checkpoint)
    trainer.save_checkpoint(folder / "it.ckpt")
    return model


def test_slopes_are_raised_by_lightning(tmp_path: Path) -> None:
    model = fit_slopes(tmp_path, 3)
    assert model.seen == pytest.approx([0, 0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4])
    assert model.net[1].negative_slope == 0.4


def test_slopes_follow_the_optimiser_and_not_the_batches(tmp_path: Path) -> None:
    assert fit_slopes(tmp_path, 2, accumulate_grad_batches=2).seen == pytest.approx([0, 0, 0, 0.1, 0.1, 0.2])


@pytest.mark.filterwarnings("ignore:.*weights made for another negative slope")  # before the schedule has begun
def test_slopes_go_on_in_a_training_that_lightning_resumes(tmp_path: Path) -> None:
    assert fit_slopes(tmp_path, 1).seen == pytest.approx([0, 0, 0.1])
    assert fit_slopes(tmp_path, 2, tmp_path / "it.ckpt").seen == pytest.approx([0.2, 0.3, 0.4])


def test_slopes_are_raised_by_transformers(tmp_path: Path) -> None:
    class Seen(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            seen.append(model.model.decoder.layers[1].activation_fn.negative_slope)

    seen: list[float] = []
    model = opt()
    for layer in model.model.decoder.layers:
        layer.activation_fn = LeakyReLU(0.7)
    train(model, tmp_path, TransformersSlopeSchedule(to=0.4, steps=8, start=0.2, shape="linear"), Seen())
    assert seen == pytest.approx([0.2 + 0.025 * min(step, 8) for step in range(12)])
