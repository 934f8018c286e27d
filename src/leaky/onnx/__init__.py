"""ONNX models: reading them without trusting them, and what their activations show through ONNX Runtime.

Needs the extra: ``pip install 'leaky[onnx]'``.
"""

from __future__ import annotations

from leaky.extras import needed_by

with needed_by("leaky.onnx"):
    from leaky.onnx.reading import read
    from leaky.onnx.saving import ModelFile, save
    from leaky.onnx.watching import Watched, watch

__all__ = ["ModelFile", "Watched", "read", "save", "watch"]
