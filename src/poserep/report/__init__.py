"""Tables and pages of a study: ``poserep report``."""
