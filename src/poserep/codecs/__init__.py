"""Codecs: everything about coordinates. See `Codec`."""

from poserep.codecs.axis_heatmap import AxisHeatmap
from poserep.codecs.base import Codec
from poserep.codecs.dark import DARK
from poserep.codecs.heatmap import Heatmap, SRHeatmap
from poserep.codecs.integral import Integral
from poserep.codecs.labels import Equal, Gaussian, Laplace
from poserep.codecs.multiscale import MultiScale
from poserep.codecs.readouts import Argmax, CentreOfMass, QuarterShift, SecondMax, SoftArgmax
from poserep.codecs.regression import RLE, Regression
from poserep.codecs.simcc import ArgmaxBin, SimCC

__all__ = [
    "DARK",
    "RLE",
    "Argmax",
    "ArgmaxBin",
    "AxisHeatmap",
    "CentreOfMass",
    "Codec",
    "Equal",
    "Gaussian",
    "Heatmap",
    "Integral",
    "Laplace",
    "MultiScale",
    "QuarterShift",
    "Regression",
    "SRHeatmap",
    "SecondMax",
    "SimCC",
    "SoftArgmax",
]
