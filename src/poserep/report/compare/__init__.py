"""Runs held against each other, from what they left behind: ``poserep compare``."""
