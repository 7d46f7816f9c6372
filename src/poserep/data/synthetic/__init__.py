"""Drawn people with exact labels, made from a seed.

`scene` composes a picture of `skeleton3d`, `poses`, `body`, `clothes`, `props`, `background` and `camera`; `raycast`
and `shading` render it; `annotate` labels it; `coco_set` and `human4d_set` write data sets.
"""

from poserep.data.synthetic.coco_set import generate
from poserep.data.synthetic.human4d_set import generate_human4d

__all__ = ["generate", "generate_human4d"]
