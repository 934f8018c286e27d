"""Leaky ReLU into an existing network, and an account of what changed."""

from leaky.conversion.result import Change, Conversion, Drift, Left

__all__ = ["Change", "Conversion", "Drift", "Left"]
