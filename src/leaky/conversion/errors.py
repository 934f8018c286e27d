"""What cannot be converted."""


class ConversionError(ValueError):
    """A network, or data, that a conversion cannot be made of; the text says why in one line."""
