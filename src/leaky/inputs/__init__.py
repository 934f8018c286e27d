"""What people hand over: models and data of any customary form, as batches and as calls of the network."""

from leaky.inputs.errors import InputError

__all__ = ["InputError"]
