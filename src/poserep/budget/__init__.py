"""What a table costs to run: ``poserep sweep budget``."""
