"""Weights in files, with the negative slopes that they were made for."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from leaky.files import replacing

if TYPE_CHECKING:
    from torch import nn


def save_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write the weights of a network to a file, as ``torch.save(model.state_dict(), …)`` or safetensors would.

    The negative slopes of its Leaky ReLUs, ``torch.nn.LeakyReLU`` too, go with them, and where in the code of its modules
    calls were converted: in the metadata of the state_dict, or of the ``.safetensors``. Names, tensors and what else can read them are the same as ever. A ``.safetensors`` holds
    tensors that share their memory once. The file is the old one or the new one, never half of one.

    Args:
        model: the network itself, or within torch.compile, DataParallel or DistributedDataParallel.
        path: ends in ``.pt``, ``.pth`` or ``.safetensors``.

    Raises:
        TypeError: ``model`` is no torch.nn.Module.
        ValueError: the name ends in something else.
        OSError: the file cannot be written; what was there is unchanged.
    """
    import torch
    from safetensors.torch import save_model

    from leaky.torch.slopes import KEY, PLACES, notes_of
    from leaky.torch.watch import unwrapped

    _check_model(model)
    suffix = Path(path).suffix.lower()
    if suffix not in (".pt", ".pth", ".safetensors"):
        raise ValueError(f"path: {os.fspath(path)!r}; expected a name that ends in .pt, .pth or .safetensors")
    model = unwrapped(model)
    notes = {where: own for where, each in model.named_modules(remove_duplicate=False) if (own := notes_of(each))}
    with replacing(path) as written:
        if suffix == ".safetensors":
            kept = {key: {where: own[key] for where, own in notes.items() if key in own} for key in (KEY, PLACES)}
            said = {key: json.dumps(each) for key, each in kept.items() if each or key == KEY}
            save_model(model, str(written), {"format": "pt", **said})
            return
        state = model.state_dict()
        metadata = getattr(state, "_metadata", {})
        for where, own in notes.items():
            metadata[where].update(own)
        with written.open("wb") as stream:  # by a name, torch.save would write that into the file
            torch.save(state, stream)


def load_weights(
    model: nn.Module, path: str | os.PathLike[str], *, convert: bool = False, max_memory: int | None = None
) -> nn.Module:
    """Copy the weights of a file into a network, each into the parameter or buffer of its name, and return the network.

    The file may come from anywhere: nothing in it is run. Unless asked, slopes are compared and not changed.

    Args:
        model: the network, as :func:`save_weights` takes it.
        convert: first convert the network in place, as the one was that :func:`save_weights` wrote: its modules, the
            functions that they hold, the calls in their code (which has to be what it was then), and the PReLUs that were
            frozen or are new. Then it is enough to have the network as its author wrote it.
        path: ``.safetensors``; or ``.pt``, ``.pth``, ``.ckpt``, ``.bin`` as ``torch.save`` writes a state_dict, alone or
            in a checkpoint of a training loop, read by ``torch.load(weights_only=True)`` alone.
        max_memory: what reading may take, in bytes; by default half of the machine's memory.

    Raises:
        TypeError: ``model`` is no torch.nn.Module.
        ValueError: of one line; there is no such file, it is damaged, too large or would run code, or its weights do not
            fit the network.

    Warns:
        SlopeWarning: the weights were made for other negative slopes. Once, with both and where.
    """
    from leaky.inputs.loading import default_memory
    from leaky.inputs.loading.problem import existing
    from leaky.inputs.loading.weights import convert as make_as_recorded
    from leaky.inputs.loading.weights import fill, read_weights
    from leaky.torch.slopes import SlopeWarning
    from leaky.torch.watch import unwrapped

    _check_model(model)
    file = existing("path", os.fspath(path), "a file of weights")
    weights = read_weights(file, default_memory() if max_memory is None else max_memory, "path")
    if convert:
        make_as_recorded(unwrapped(model), weights)
    other_slopes = fill(unwrapped(model), weights, f"path: {str(file)!r}")
    if other_slopes:
        warnings.warn(f"{file}: {other_slopes}", SlopeWarning, stacklevel=2)
    return model


def _check_model(model: nn.Module) -> None:
    from torch import nn

    if not isinstance(model, nn.Module):
        raise TypeError(f"model: {type(model).__name__}; expected a torch.nn.Module")
