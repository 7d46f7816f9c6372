"""How long networks take: variants that take turns, so that a disturbed machine disturbs them alike."""

from poserep.latency.timings import Variant, timings
from poserep.latency.turns import cores, processor, race
from poserep.latency.ways import WAYS

__all__ = ["WAYS", "Variant", "cores", "processor", "race", "timings"]
