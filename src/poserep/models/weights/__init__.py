"""Weights: files read as tensors, recognised, and loaded into networks, whole or not at all."""
