"""Runs held against each other, from what they left behind: ``python -m poserep.compare``."""
