"""Leaky ReLU into an existing network, and an account of what changed."""

from leaky.conversion.result import Change, Conversion, Drift, Left
from leaky.conversion.run import convert
from leaky.conversion.weights import load_weights, save_weights

__all__ = [
    "Change",
    "Conversion",
    "Drift",
    "Left",
    "convert",
    "load_weights",
    "save_weights",
]
