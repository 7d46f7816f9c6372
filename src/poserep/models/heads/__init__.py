"""Heads: features to outputs."""

from poserep.models.heads.axis_linear import AxisLinear
from poserep.models.heads.base import Head
from poserep.models.heads.deconv import Deconv
from poserep.models.heads.sr import SRHead

__all__ = ["AxisLinear", "Deconv", "Head", "SRHead"]
