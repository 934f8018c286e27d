"""Leaky ReLU done completely: the function, and tools that find dead units, cure them, and show whether it helped.

``import leaky`` loads nothing yet. What a name needs is loaded when it is first asked for: the function NumPy and nothing
heavier, the tools and the frameworks' adapters more. So the command line is in charge of Ctrl-C before anything is loaded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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
    from leaky.conversion import convert as convert
    from leaky.conversion import load_weights as load_weights
    from leaky.conversion import save_weights as save_weights
    from leaky.function import gain as gain
    from leaky.function import get_num_threads as get_num_threads
    from leaky.function import leaky_relu as leaky_relu
    from leaky.function import leaky_relu_backward as leaky_relu_backward
    from leaky.function import leaky_relu_backward_from_mask as leaky_relu_backward_from_mask
    from leaky.function import leaky_relu_derivative as leaky_relu_derivative
    from leaky.function import leaky_relu_inverse as leaky_relu_inverse
    from leaky.function import set_num_threads as set_num_threads
    from leaky.function import sign_mask as sign_mask
    from leaky.inputs import InputError as InputError
    from leaky.report import write_report as write_report
    from leaky.revival import Revival as Revival
    from leaky.revival import revive as revive
    from leaky.trials import Task as Task
    from leaky.tuning import Tuning as Tuning
    from leaky.tuning import tune as tune

# Public names, each with the module that holds it.
_LAZY = {
    "Activation": "leaky.activation",
    "Check": "leaky.checkup",
    "Comparison": "leaky.comparison",
    "Conversion": "leaky.conversion",
    "InputError": "leaky.inputs",
    "Revival": "leaky.revival",
    "Task": "leaky.trials",
    "Tuning": "leaky.tuning",
    "check": "leaky.checkup",
    "compare": "leaky.comparison",
    "convert": "leaky.conversion",
    "gain": "leaky.function",
    "get_num_threads": "leaky.function",
    "leaky_relu": "leaky.function",
    "leaky_relu_backward": "leaky.function",
    "leaky_relu_backward_from_mask": "leaky.function",
    "leaky_relu_derivative": "leaky.function",
    "leaky_relu_inverse": "leaky.function",
    "load_weights": "leaky.conversion",
    "revive": "leaky.revival",
    "save_weights": "leaky.conversion",
    "set_num_threads": "leaky.function",
    "sign_mask": "leaky.function",
    "tune": "leaky.tuning",
    "write_report": "leaky.report",
}
_LAZY_MODULES = (
    *("benchmark", "checkup", "claims", "comparison", "conversion", "evidence", "function", "inputs", "jax", "onnx"),
    *("report", "revival", "torch", "trials", "tuning"),
)

__all__ = [
    "Activation",
    "Check",
    "Comparison",
    "Conversion",
    "InputError",
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
        value = globals()[name] = getattr(_loaded(_LAZY[name], name), name)
        return value
    if name in _LAZY_MODULES:
        return _loaded(f"leaky.{name}", name)
    if name == "__version__":
        from importlib.metadata import version

        return version("leaky")
    raise AttributeError(f"module 'leaky' has no attribute {name!r}")


def _loaded(module: str, name: str) -> Any:
    from leaky.extras import needed_by

    with needed_by(f"leaky.{name}"):
        return importlib.import_module(module)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
