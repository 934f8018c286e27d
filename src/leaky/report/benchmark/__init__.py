"""A benchmark as tables and as a picture."""
