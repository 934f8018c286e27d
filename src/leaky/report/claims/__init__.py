"""Verdicts on statements as a page, plots, and on a terminal."""
