"""Codecs: everything about coordinates. See `Codec`."""

from poserep.codecs.argmax import Argmax
from poserep.codecs.axis_heatmap import AxisHeatmap
from poserep.codecs.base import Codec
from poserep.codecs.dark import DARK
from poserep.codecs.deviations import Deviations
from poserep.codecs.heatmap import Heatmap, SRHeatmap
from poserep.codecs.integral import Integral
from poserep.codecs.label_smoothing import Equal, Gaussian, Laplace
from poserep.codecs.multiscale import MultiScale
from poserep.codecs.quarter_shift import QuarterShift, SecondMax
from poserep.codecs.regression import RLE, Regression
from poserep.codecs.simcc import ArgmaxBin, SimCC
from poserep.codecs.soft_argmax import CentreOfMass, SoftArgmax

__all__ = [
    "DARK", "RLE", "Argmax", "ArgmaxBin", "AxisHeatmap", "CentreOfMass", "Codec", "Deviations", "Equal", "Gaussian",
    "Heatmap", "Integral", "Laplace", "MultiScale", "QuarterShift", "Regression", "SRHeatmap", "SecondMax", "SimCC",
    "SoftArgmax",
]  # fmt: skip
