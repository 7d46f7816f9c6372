"""What a network costs: parameters by part, multiply-accumulates, and memory of activations."""

from poserep.models.cost.counts import macs, macs_by_module, parameters, parts, summary, table_elements, training_only
from poserep.models.cost.memory import activations, allocated
