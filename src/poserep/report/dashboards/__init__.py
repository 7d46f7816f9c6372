"""Runs on Weights & Biases: what is shown, from where, and the charts: ``poserep wandb dashboard``."""
