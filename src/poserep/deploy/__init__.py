"""Trained models outside a run: one graph from bytes to coordinates, and persons found in any image."""
