"""What a table costs to run: ``python -m poserep.budget``."""
