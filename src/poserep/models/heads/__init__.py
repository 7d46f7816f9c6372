"""Heads: from a backbone's features to the output that a codec reads."""
