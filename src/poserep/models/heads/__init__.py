"""Heads: features to outputs."""

from poserep.models.heads.axis_linear import AxisLinear
from poserep.models.heads.base import Head, Stacks
from poserep.models.heads.bottomup import UNREAD, BottomUp, BottomUpSR
from poserep.models.heads.deconv import Deconv
from poserep.models.heads.points import PointHead, RLEHead
from poserep.models.heads.predictors import InterPredictor, SimplePredictor, SRPredictor
from poserep.models.heads.sr import SRHead
from poserep.models.heads.srpose import SRPose
from poserep.models.heads.stacked import StackedAxes, StackedMaps
from poserep.models.heads.tokens import TokenAxes, TokenMaps, TokenPoints, TokenRLE

__all__ = [
    "UNREAD",
    "AxisLinear",
    "BottomUp",
    "BottomUpSR",
    "Deconv",
    "Head",
    "InterPredictor",
    "PointHead",
    "RLEHead",
    "SRHead",
    "SRPose",
    "SRPredictor",
    "SimplePredictor",
    "StackedAxes",
    "StackedMaps",
    "Stacks",
    "TokenAxes",
    "TokenMaps",
    "TokenPoints",
    "TokenRLE",
]
