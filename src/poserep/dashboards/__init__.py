"""Runs on Weights & Biases: what is shown, from where, and the charts: ``python -m poserep.dashboards``."""
