"""Reading the model and the data that a check is given by name: hostile until trusted, sizes checked before memory."""

from leaky.checkup.loading.data import Batches, load_data
from leaky.checkup.loading.memory import bytes_of, default_memory
from leaky.checkup.loading.model import load_factory, load_model
from leaky.checkup.loading.problem import LoadingError

__all__ = ["Batches", "LoadingError", "bytes_of", "default_memory", "load_data", "load_factory", "load_model"]
