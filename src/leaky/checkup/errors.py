"""What a check cannot be made of."""


class CheckError(ValueError):
    """A model or data that cannot be checked; the text says why in one line."""
