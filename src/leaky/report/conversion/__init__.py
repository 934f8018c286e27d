"""A conversion on a terminal."""
