"""The mirror of run directories in Weights & Biases."""
