"""Models told apart by what they are, without loading a framework."""

from __future__ import annotations

import sys
from os import PathLike, fspath
from typing import Any


def is_network(model: Any) -> bool:
    """Say whether a model is one of PyTorch's."""
    # Whoever hands over a network has imported PyTorch.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def is_onnx(model: Any) -> bool:
    """Say whether a model is one of ONNX, or the path of a file."""
    onnx = sys.modules.get("onnx")
    if isinstance(model, str | PathLike):
        return str(fspath(model)).lower().endswith(".onnx")
    return onnx is not None and isinstance(model, onnx.ModelProto)
