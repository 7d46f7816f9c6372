"""Data: annotation files to instances, instances to batches. Knows no representation."""

from poserep.data.augment import Augment
from poserep.data.cache import ImageCache
from poserep.data.coco import load_coco
from poserep.data.crowdpose import load_crowdpose
from poserep.data.datamodule import PoseDataModule
from poserep.data.dataset import BlockSampler, EpochSampler, PoseDataset
from poserep.data.depth import read_depth
from poserep.data.human4d import load_human4d
from poserep.data.images import read_image
from poserep.data.mpii import load_mpii
from poserep.data.mpii_mat import convert_mat
from poserep.instances import Instance, InstanceTable, Tally

__all__ = [
    "Augment",
    "BlockSampler",
    "EpochSampler",
    "ImageCache",
    "Instance",
    "InstanceTable",
    "PoseDataModule",
    "PoseDataset",
    "Tally",
    "convert_mat",
    "load_coco",
    "load_crowdpose",
    "load_human4d",
    "load_mpii",
    "read_depth",
    "read_image",
]
