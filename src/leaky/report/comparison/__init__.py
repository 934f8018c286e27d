"""A comparison as a page, pictures, and on a terminal."""
