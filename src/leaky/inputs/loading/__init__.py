"""Reading the model and the data that a check is given by name: hostile until trusted, sizes checked before memory."""

from leaky.inputs.loading.data import Batches, load_data
from leaky.inputs.loading.memory import bytes_of, default_memory
from leaky.inputs.loading.model import load_factory, load_model
from leaky.inputs.loading.problem import LoadingError

__all__ = ["Batches", "LoadingError", "bytes_of", "default_memory", "load_data", "load_factory", "load_model"]
