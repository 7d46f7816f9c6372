"""Studies that are measured, not trained."""
