"""Networks: backbones, heads, their cost and their weights. Nothing here knows coordinates."""

from poserep.models.backbones import HRNet, TimmFeatures
from poserep.models.heads import AxisLinear, Deconv, Head, SRHead
from poserep.models.model import Backbone, PoseNet

__all__ = ["AxisLinear", "Backbone", "Deconv", "HRNet", "Head", "PoseNet", "SRHead", "TimmFeatures"]
