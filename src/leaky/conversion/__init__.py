"""Leaky ReLU into an existing network, and an account of what changed."""

from leaky.conversion.result import Change, Conversion, Drift, Left
from leaky.conversion.run import convert

__all__ = ["Change", "Conversion", "Drift", "Left", "convert"]
