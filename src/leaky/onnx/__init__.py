"""ONNX models: reading them without trusting them, and what their activations show through ONNX Runtime.

Needs the extra: ``pip install 'leaky[onnx]'``.
"""

from __future__ import annotations

try:
    from leaky.onnx.reading import read
    from leaky.onnx.saving import ModelFile, save
    from leaky.onnx.watching import Watched, watch
except ModuleNotFoundError as error:
    raise ImportError(f"leaky.onnx needs {error.name}: pip install 'leaky[onnx]'") from error

__all__ = ["ModelFile", "Watched", "read", "save", "watch"]
