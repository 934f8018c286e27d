"""Other rectifiers in the places of those of a PyTorch network: modules, functions that modules hold, and calls."""
