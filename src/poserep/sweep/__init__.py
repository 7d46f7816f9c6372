"""Run a table: ``python -m poserep.sweep``."""
