"""A tuning as a page, a picture, and on a terminal."""
