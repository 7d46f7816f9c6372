"""Sweep files as data: rows with their overrides, what has been asked for, and how that stands."""
