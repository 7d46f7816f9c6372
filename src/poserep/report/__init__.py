"""Tables and pages of a study: ``python -m poserep.report``."""
