"""Networks: backbones, heads, their cost and their weights. Nothing here knows coordinates."""

from poserep.models.backbones.hourglass import Hourglass
from poserep.models.backbones.hrformer import HRFormer
from poserep.models.backbones.hrnet import HRNet
from poserep.models.backbones.moai import MoaiHourglass, MoaiHRNet
from poserep.models.backbones.timm_features import TimmFeatures
from poserep.models.backbones.tokenpose import TokenPose
from poserep.models.backbones.transpose import TransPoseH, TransPoseR
from poserep.models.backbones.vitpose import ViTPose
from poserep.models.heads.base import Head, HeadSpec, Stacks
from poserep.models.heads.bottomup import BottomUp, BottomUpHigher, BottomUpSR
from poserep.models.heads.confidence import ConfidenceHead
from poserep.models.heads.implicit import ImplicitHead
from poserep.models.heads.maps_and_axes import (
    AxisLinear,
    BilinearConv,
    Deconv,
    DeconvOffsets,
    StackedAxes,
    StackedMaps,
    TokenAxes,
    TokenMaps,
)
from poserep.models.heads.points import GaussianHead, PointHead, RLEHead, TokenGaussian, TokenPoints, TokenRLE
from poserep.models.heads.rtmcc import RTMCC
from poserep.models.heads.sr import InterPredictor, SimplePredictor, SRHead, SRPredictor
from poserep.models.heads.srpose import SRPose
from poserep.models.model import Backbone, PoseNet
