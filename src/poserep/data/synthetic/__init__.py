"""Drawn people with exact labels, made from a seed.

`scene` composes a picture of `skeleton3d`, `poses`, `body`, `clothes`, `props`, `background`, `camera` and `group`;
`raycast` and `shading` render it; `annotate` labels it; `coco_set` writes data sets.
"""

from poserep.data.synthetic.coco_set import generate

__all__ = ["generate"]
