"""Leaky ReLU done completely: the function, and tools that find dead units, cure them, and show whether it helped.

``import leaky`` loads NumPy and nothing heavier. The tools and the frameworks' adapters are loaded when first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from leaky.function import (
    gain,
    get_num_threads,
    leaky_relu,
    leaky_relu_backward,
    leaky_relu_backward_from_mask,
    leaky_relu_derivative,
    leaky_relu_inverse,
    set_num_threads,
    sign_mask,
)

if TYPE_CHECKING:
    from leaky import claims as claims
    from leaky import jax as jax
    from leaky import onnx as onnx
    from leaky import torch as torch
    from leaky.activation import Activation as Activation
    from leaky.checkup import Check as Check
    from leaky.checkup import check as check
    from leaky.comparison import Comparison as Comparison
    from leaky.comparison import compare as compare
    from leaky.conversion import Conversion as Conversion
    from leaky.conversion import Revival as Revival
    from leaky.conversion import convert as convert
    from leaky.conversion import load_weights as load_weights
    from leaky.conversion import revive as revive
    from leaky.conversion import save_weights as save_weights
    from leaky.report import write_report as write_report
    from leaky.trials import Task as Task
    from leaky.tuning import Tuning as Tuning
    from leaky.tuning import tune as tune

# Public names that need more than NumPy, each with the module that holds it.
_LAZY = {
    "Activation": "leaky.activation",
    "Check": "leaky.checkup",
    "Comparison": "leaky.comparison",
    "Conversion": "leaky.conversion",
    "Revival": "leaky.conversion",
    "Task": "leaky.trials",
    "Tuning": "leaky.tuning",
    "check": "leaky.checkup",
    "compare": "leaky.comparison",
    "convert": "leaky.conversion",
    "load_weights": "leaky.conversion",
    "revive": "leaky.conversion",
    "save_weights": "leaky.conversion",
    "tune": "leaky.tuning",
    "write_report": "leaky.report",
}
_LAZY_MODULES = ("claims", "jax", "onnx", "torch")

__all__ = [
    "Activation",
    "Check",
    "Comparison",
    "Conversion",
    "Revival",
    "Task",
    "Tuning",
    "check",
    "claims",
    "compare",
    "convert",
    "gain",
    "get_num_threads",
    "jax",
    "leaky_relu",
    "leaky_relu_backward",
    "leaky_relu_backward_from_mask",
    "leaky_relu_derivative",
    "leaky_relu_inverse",
    "load_weights",
    "onnx",
    "revive",
    "save_weights",
    "set_num_threads",
    "sign_mask",
    "torch",
    "tune",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _LAZY_MODULES:
        return importlib.import_module(f"leaky.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("leaky")
    raise AttributeError(f"module 'leaky' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
