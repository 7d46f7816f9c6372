"""How long networks take: variants that take turns, so that a disturbed machine disturbs them alike."""

from poserep.deploy.latency.timings import Variant, timings
from poserep.deploy.latency.turns import cores, processor, race
from poserep.deploy.latency.ways import WAYS

__all__ = ["WAYS", "Variant", "cores", "processor", "race", "timings"]
