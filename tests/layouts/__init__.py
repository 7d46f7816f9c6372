"""Tiny data sets of drawn people in the public data sets' own layouts, with the quirks of their files."""

from .human4d import generate_human4d, vicon_joints
from .public_sets import generate_coco, generate_crowdpose, generate_mpii, structs

__all__ = ["generate_coco", "generate_crowdpose", "generate_human4d", "generate_mpii", "structs", "vicon_joints"]
