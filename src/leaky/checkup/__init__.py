"""The check of a network: which units never fire, on how much evidence, and why."""
