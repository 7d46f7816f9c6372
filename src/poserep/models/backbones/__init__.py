"""Backbones: images to feature maps, fine to coarse."""

from poserep.models.backbones.hourglass import Hourglass
from poserep.models.backbones.hrformer import HRFormer
from poserep.models.backbones.hrnet import HRNet
from poserep.models.backbones.moai import MoaiHourglass, MoaiHRNet
from poserep.models.backbones.timm_features import TimmFeatures
from poserep.models.backbones.tokenpose import TokenPose
from poserep.models.backbones.transpose import TransPoseH, TransPoseR
from poserep.models.backbones.vitpose import ViTPose

__all__ = [
    "HRFormer",
    "HRNet",
    "Hourglass",
    "MoaiHRNet",
    "MoaiHourglass",
    "TimmFeatures",
    "TokenPose",
    "TransPoseH",
    "TransPoseR",
    "ViTPose",
]
