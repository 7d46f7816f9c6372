"""Run a table: ``poserep sweep``."""
