"""A check as a page and on a terminal."""
