"""What a network costs: parameters by part, multiply-accumulates, and memory of activations."""

from poserep.models.cost.memory import activations, allocated
from poserep.models.cost.operations import macs, macs_by_module, summary
from poserep.models.cost.parameters import Part, parameters, parts, table_elements, training_only
