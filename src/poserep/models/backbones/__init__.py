"""Backbones: images to feature maps, fine to coarse."""

from poserep.models.backbones.hrnet import HRNet
from poserep.models.backbones.timm_features import TimmFeatures

__all__ = ["HRNet", "TimmFeatures"]
