"""Everything that is counted about a network, as results record it."""

from typing import Any

from poserep.models.cost.countings import COUNTINGS, true
from poserep.models.cost.parameters import parameters, parts, table_elements, training_only
from poserep.models.cost.record import record
from poserep.models.model import PoseNet


def summary(net: PoseNet, height: int, width: int) -> dict[str, Any]:
    """Parameters and multiply-accumulates of a network for one image, whole and by part.

    Returns:
        ``params`` that prediction runs, of backbone and head too; beside them ``params_training_only`` and
        ``params_tables`` (fixed position tables, which some papers count); ``params_frozen``, those of ``params`` that
        take no gradient; ``gmacs``, true multiply-accumulates in 10^9; ``gflops`` by the names of the papers'
        countings, in the units that they print; ``parts``, the same by part.
    """
    found = record(net, height, width, net.channels)
    return {
        "params": parameters(net),
        "params_backbone": parameters(net.backbone),
        "params_head": parameters(net.head),
        "params_frozen": sum(p.numel() for p in net.parameters() if not p.requires_grad),
        "params_training_only": training_only(net),
        "params_tables": table_elements(net),
        "gmacs": true(found) / 1e9,
        "gflops": {c.name: c.count(found) / c.unit for c in COUNTINGS if c.count is not true},
        "parts": [{**part._asdict(), "gmacs": true(found.within(part.path)) / 1e9} for part in parts(net)],
    }
