"""Tiny data sets of drawn people in the public data sets' own layouts, with the quirks of their files."""

from poserep.data.synthetic import generate_human4d

from .coco import generate_coco
from .crowdpose import generate_crowdpose
from .mpii import generate_mpii

__all__ = ["generate_coco", "generate_crowdpose", "generate_human4d", "generate_mpii"]
