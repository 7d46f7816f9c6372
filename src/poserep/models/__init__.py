"""Networks: backbones, heads, their cost and their weights. Nothing here knows coordinates."""

from poserep.models.backbones import HRNet, TimmFeatures
from poserep.models.heads import (
    AxisLinear,
    Deconv,
    Head,
    InterPredictor,
    PointHead,
    RLEHead,
    SimplePredictor,
    SRHead,
    SRPose,
    SRPredictor,
    Stacks,
)
from poserep.models.model import Backbone, PoseNet

__all__ = [
    "AxisLinear",
    "Backbone",
    "Deconv",
    "HRNet",
    "Head",
    "InterPredictor",
    "PointHead",
    "PoseNet",
    "RLEHead",
    "SRHead",
    "SRPose",
    "SRPredictor",
    "SimplePredictor",
    "Stacks",
    "TimmFeatures",
]
