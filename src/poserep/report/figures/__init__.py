"""Figures of reports, drawn from the records of runs."""
