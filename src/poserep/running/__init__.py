"""Processes that train: how they are started, told to stop, and kept apart."""
