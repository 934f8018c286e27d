"""ONNX models: reading them without trusting them, and what their activations show through ONNX Runtime.

Needs the extra: ``pip install 'leaky[onnx]'``.
"""

from __future__ import annotations

try:
    import onnx as _onnx  # noqa: F401
    import onnx_ir as _onnx_ir  # noqa: F401
    import onnxruntime as _onnxruntime  # noqa: F401
except ImportError as error:
    raise ImportError(f"leaky.onnx needs {error.name}: pip install 'leaky[onnx]'") from error

from leaky.onnx.reading import read
from leaky.onnx.watching import Watched, watch

__all__ = ["Watched", "read", "watch"]
