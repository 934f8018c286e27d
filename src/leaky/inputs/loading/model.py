"""From what a user names as MODEL to a network, or to the path of an ONNX file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaky.inputs.loading.code import is_code, named
from leaky.inputs.loading.memory import check_size, default_memory
from leaky.inputs.loading.problem import LoadingError, existing
from leaky.user_code import in_one_line
from leaky.wording import plain

if TYPE_CHECKING:
    from torch import nn

_log = logging.getLogger("leaky")

_EXPECTED = "file.py:factory, package.module:factory, a .onnx, or weights (.pt, .safetensors) with --model"

_WEIGHTS = {".pt", ".pth", ".ckpt", ".bin", ".safetensors"}

# Files that are code, whatever they look like, with what to give instead.
_REFUSED = {
    ".pt2": "an exported program, which runs code when it is loaded; expected file.py:factory, a function that loads it",
    **dict.fromkeys(
        (".pkl", ".pickle", ".joblib", ".dill"),
        "a pickle, which runs code when it is read; expected weights, as torch.save(model.state_dict(), …) writes them",
    ),
}


def load_model(
    spec: str, *, network: str | None = None, trust: bool = False, max_memory: int | None = None
) -> nn.Module | Path:
    """Return the network that a text names, or the path of an ONNX file, whose content is not read here.

    Args:
        spec: ``file.py:name`` or ``package.module:name``, where the name is a ``torch.nn.Module`` or a function without
            arguments that makes one; a ``.onnx``; or weights for ``network``: ``.safetensors``, or ``.pt``, ``.pth``,
            ``.ckpt``, ``.bin`` as ``torch.save(model.state_dict(), …)`` writes them, read by
            ``torch.load(weights_only=True)`` alone. If they are those of a network that was converted, and say so
            (:func:`leaky.save_weights`), the network is converted in the same way.
        network: with weights, the network they are for: ``file.py:name`` or ``package.module:name``.
        trust: run a file that does not lie on the import path. It holds for this call only: nothing is remembered.
        max_memory: what reading weights may take, in bytes, and the size up to which an ONNX file is accepted; by
            default half of the machine's memory.

    Raises:
        LoadingError: a :class:`ValueError` of one line; there is no such model, its code fails, its file is damaged, too
            large or would run code, or the weights do not fit the network.
    """
    max_memory = default_memory() if max_memory is None else max_memory
    suffix = Path(spec).suffix.lower()
    if suffix in _REFUSED:
        raise LoadingError(f"model: {spec!r} is {_REFUSED[suffix]}")
    if suffix not in _WEIGHTS and network is not None:
        raise LoadingError(f"model: {spec!r} is no weights; expected .pt or .safetensors beside --model {network}")
    if is_code(spec):
        return _network("model", spec, trust)
    if suffix == ".onnx":
        path = existing("model", spec, "an ONNX file")
        check_size(f"model: {spec!r}", path.stat().st_size, max_memory, " (--max-memory)")
        return path
    if suffix not in _WEIGHTS:
        raise LoadingError(f"model: {spec!r}; expected {_EXPECTED}")
    if network is None:
        raise LoadingError(
            f"model: {spec!r} holds weights alone; expected --model file.py:factory with it, their network"
        )
    path = existing("model", spec, "a file of weights")
    if not is_code(network):
        raise LoadingError(f"network: {network!r}; expected file.py:factory or package.module:factory")
    from leaky.inputs.loading.weights import convert, fill, read_weights
    from leaky.torch.watch import unwrapped

    weights = read_weights(path, max_memory)
    made = unwrapped(_network("network", network, trust))
    converted = convert(made, weights)
    if converted:
        _log.info("%s: the network is converted as its weights were: %s.", plain(spec), converted)
    other_slopes = fill(made, weights, f"model: {spec!r}")
    if other_slopes:
        _log.warning("%s: %s", plain(spec), other_slopes)
    return made


def load_factory(spec: str, *, trust: bool = False) -> Callable[..., nn.Module]:
    """Return the function that a text names, which makes a fresh network each time it is called.

    It takes the arguments that the user's own takes, such as an activation.

    Args:
        spec: ``file.py:name`` or ``package.module:name``.
        trust: as in :func:`load_model`.

    Raises:
        LoadingError: there is no such function, or the name is a network itself. The function returned raises it as
            well, where the user's fails or makes something else.
    """
    if not is_code(spec):
        raise LoadingError(f"model: {spec!r}; expected file.py:factory or package.module:factory")
    return _factory(*named("model", spec, trust)[:2])


def _factory(what: str, thing: Any) -> Callable[..., nn.Module]:
    from torch import nn

    if isinstance(thing, nn.Module) or not callable(thing):
        raise LoadingError(
            f"{what} is of type {type(thing).__name__}; expected a function that makes a torch.nn.Module"
        )

    @wraps(thing, updated=())
    def make(*arguments: Any) -> nn.Module:
        made = in_one_line(f"{what} failed", partial(thing, *arguments), LoadingError)
        if not isinstance(made, nn.Module):
            raise LoadingError(f"{what} returned an object of type {type(made).__name__}; expected a torch.nn.Module")
        return made

    return make


def _network(argument: str, spec: str, trust: bool) -> nn.Module:
    from torch import nn

    what, thing, _ = named(argument, spec, trust)
    return thing if isinstance(thing, nn.Module) else _factory(what, thing)()
