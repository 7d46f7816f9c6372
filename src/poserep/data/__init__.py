"""Data: annotation files to instances, instances to batches. Knows no representation."""

from poserep.data.augment import Augment
from poserep.data.coco import load_coco
from poserep.data.datamodule import PoseDataModule
from poserep.data.dataset import BlockSampler, EpochSampler, PoseDataset, read_image
from poserep.data.instances import Instance

__all__ = [
    "Augment",
    "BlockSampler",
    "EpochSampler",
    "Instance",
    "PoseDataModule",
    "PoseDataset",
    "load_coco",
    "read_image",
]
