"""What cannot be used as it was handed over."""


class InputError(ValueError):
    """A model, data or argument that cannot be used; the text says why in one line."""
