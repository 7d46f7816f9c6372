"""What a network costs: parameters by part, multiply-accumulates, the papers' ways of counting them, and memory."""

from poserep.models.cost.countings import COUNTINGS, Counting, counted, countings, macs
from poserep.models.cost.memory import activations, allocated
from poserep.models.cost.parameters import Part, parameters, parts, table_elements, training_only
from poserep.models.cost.record import Record, record
from poserep.models.cost.summary import summary

__all__ = [
    "COUNTINGS",
    "Counting",
    "Part",
    "Record",
    "activations",
    "allocated",
    "counted",
    "countings",
    "macs",
    "parameters",
    "parts",
    "record",
    "summary",
    "table_elements",
    "training_only",
]
