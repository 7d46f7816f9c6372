"""Data: annotation files to instances, instances to batches. Knows no representation.

The names below are those that configurations give as ``_target_``; everything else is imported from its module. None
of them imports torch, but for `SceneDataset`, whose module is imported on first use.
"""

from typing import Any

from poserep.data.augment import Augment
from poserep.data.loaders.coco import load_coco
from poserep.data.loaders.crowdpose import load_crowdpose
from poserep.data.loaders.human4d import load_human4d
from poserep.data.loaders.human4d_cameras import read_depth
from poserep.data.loaders.mpii import load_mpii
from poserep.data.scene_augment import SceneAugment

__all__ = [
    "Augment",
    "SceneAugment",
    "load_coco",
    "load_crowdpose",
    "load_human4d",
    "load_mpii",
    "read_depth",
]
