"""A look into a data set: its faults, its numbers, its duplicates, its crops."""
