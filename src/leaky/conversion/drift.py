"""How far a conversion moves the outputs of a trained network, and BatchNorm's statistics taken anew after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from leaky.conversion.errors import ConversionError
from leaky.conversion.moved import Moved
from leaky.conversion.passes import Passes
from leaky.conversion.result import Drift
from leaky.inputs.batches import Batch
from leaky.inputs.feeding import Feed
from leaky.torch.randomness import random_state_kept
from leaky.torch.watch import undisturbed, unwrapped
from leaky.torch.watch.names import cleaned
from leaky.user_code import in_one_line
from leaky.wording import counted, listing

# Of the names of modules that a note lists.
_MOST_SHOWN = 3


def drift(before: nn.Module, after: nn.Module, data: Any, batch_size: int | None = None) -> Drift:
    """Return how far the outputs of two networks are apart on the data, both in evaluation mode, which leaves no trace.

    Of networks with several outputs the one named ``logits`` is compared, or else the first tensor of floats with the
    samples on axis 0; or the first of any shape. The same random numbers are drawn by both.

    Args:
        before: the network as it was.
        after: the converted one.
        data: what :func:`leaky.check` takes.
        batch_size: see there.

    Raises:
        ConversionError: a :class:`ValueError`; the data are not what is expected, a network fails on them, or its outputs
            hold no tensor of floats, or are of two shapes.
    """
    networks = [unwrapped(before), unwrapped(after)]
    feeds = [Feed(network) for network in networks]
    moved = Moved()
    with undisturbed(networks[0]), undisturbed(networks[1]), torch.no_grad():
        for number, batch in enumerate(_walked(data, batch_size)):
            what = f"data: batch {number} failed"
            outputs = []
            for network, feed in zip(networks, feeds, strict=True):
                with random_state_kept():
                    output = in_one_line(what, partial(_run, network, feed, batch), ConversionError)
                outputs.append(_chosen(output, batch.samples, what))
            (name, one), (_, other) = outputs
            moved.add(name, _numbers(one), _numbers(other), batch.samples, what)
    return moved.drift()


def _walked(data: Any, batch_size: int | None) -> Passes:
    return data if isinstance(data, Passes) else Passes(data, batch_size)


def _run(network: nn.Module, feed: Feed, batch: Batch) -> Any:
    return feed(batch).on(network)


def _numbers(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().cpu().double().numpy()


def _chosen(output: Any, samples: int, what: str) -> tuple[str, Tensor]:
    """Return the output that is compared, and by what name it goes: "" if it is the only one."""
    found = [(name, tensor) for name, tensor in _tensors(output, "") if tensor.is_floating_point()]
    of_samples = [pair for pair in found if pair[1].ndim and len(pair[1]) == samples]
    named = [pair for pair in found if pair[0].rpartition(".")[2] == "logits"]
    best = next(iter([*named, *of_samples, *found]), None)
    if best is None:
        raise ConversionError(f"{what}: the network returned no tensor of floats; expected one, alone or among others")
    return best


def _tensors(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in nested lists, tuples and mappings, and those that are attributes, with where they are."""
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):  # transformers' outputs are
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = zip(getattr(value, "_fields", range(len(value))), value, strict=True)
    elif hasattr(value, "__dict__"):
        parts = [(key, part) for key, part in vars(value).items() if isinstance(part, Tensor)]
    for key, part in parts:
        yield from _tensors(part, f"{name}.{key}" if name else str(key))


def recalibrate(model: nn.Module, data: Any, batch_size: int | None = None) -> tuple[str, ...]:
    """Take BatchNorm's running statistics anew, over the data; return notes on what there was not to do.

    Mean and variance are those of all that a layer is fed, whatever the batches, and each layer normalises by what has been
    seen so far: if the data come in one batch, the statistics are those that the network itself has in evaluation mode.
    All other modules are in evaluation mode meanwhile; then all but the statistics is as it was. So are these after an
    error.

    Args:
        model: the network, which is changed.
        data: what :func:`leaky.check` takes.
        batch_size: see there.

    Raises:
        ConversionError: a :class:`ValueError`; the data are not what is expected, the network fails on them, or they make
            a layer's input NaN or infinite.
    """
    root = unwrapped(model)
    layers = {
        cleaned(path): _Statistics(module)
        for path, module in root.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }
    if not layers:
        return ("The network has no BatchNorm with running statistics: there was nothing to recalibrate.",)
    feed, batches = Feed(root), 0
    handles = [layer.module.register_forward_pre_hook(layer.look, with_kwargs=True) for layer in layers.values()]
    try:
        with undisturbed(root), torch.no_grad():
            for number, batch in enumerate(_walked(data, batch_size)):
                in_one_line(f"data: batch {number} failed", partial(_run, root, feed, batch), ConversionError)
                batches += 1
    finally:
        for handle in handles:
            handle.remove()
    if not batches:
        raise ConversionError("data: no samples; expected at least one")
    for path, layer in layers.items():
        if layer.count and not layer.finite:
            raise ConversionError(
                f"data: the input of {path} is NaN or infinite; expected finite ones to recalibrate on"
            )
    for layer in layers.values():
        layer.enter(batches)
    missed = [path for path, layer in layers.items() if not layer.count]
    if not missed:
        return ()
    shown = listing([*missed[:_MOST_SHOWN], *(["others"] if len(missed) > _MOST_SHOWN else [])])
    return (f"{counted(len(missed), 'BatchNorm')} not reached by the data, and left as it was: {shown}.",)


class _Statistics:
    """Mean and variance of all that a BatchNorm is fed, by channel, in float64; batches add up exactly (Chan et al. 1979)."""

    def __init__(self, module: _BatchNorm) -> None:
        self.module: Any = module
        self.count = 0
        self._mean = self._squares = torch.zeros(module.num_features, dtype=torch.float64)

    def look(self, module: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        """Take in what the layer is about to normalise, and have it do so by what has been seen so far."""
        x = next(iter((*inputs, *named.values()))).detach()
        x = x.float() if x.dtype.itemsize < 4 else x
        count = x.numel() // x.shape[1]
        if not count:
            return
        over = [axis for axis in range(x.ndim) if axis != 1]
        variance, mean = (each.cpu().double() for each in torch.var_mean(x, over, correction=0))
        total = self.count + count
        apart = mean - self._mean
        self._squares = self._squares + variance * count + apart.square() * (self.count * count / total)
        self._mean = self._mean + apart * (count / total)
        self.count = total
        self._write()

    @property
    def finite(self) -> bool:
        """Whether no NaN and nothing infinite was met."""
        return bool(self._mean.isfinite().all() and self._squares.isfinite().all())

    def enter(self, batches: int) -> None:
        """Leave the statistics in the layer, if it has seen anything."""
        if self.count:
            self._write()
            if self.module.num_batches_tracked is not None:
                self.module.num_batches_tracked.fill_(batches)

    @torch.no_grad()
    def _write(self) -> None:
        self.module.running_mean.copy_(self._mean)
        self.module.running_var.copy_(self._squares / max(self.count - 1, 1))
