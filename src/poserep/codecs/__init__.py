"""Codecs: everything about coordinates. See `Codec`."""

from poserep.codecs.base import Codec
from poserep.codecs.heatmap import Heatmap, SRHeatmap
from poserep.codecs.labels import Equal, Gaussian, Laplace
from poserep.codecs.readouts import DARK, Argmax, CentreOfMass, QuarterShift, SecondMax, SoftArgmax
from poserep.codecs.simcc import ArgmaxBin, SimCC

__all__ = [
    "DARK",
    "Argmax",
    "ArgmaxBin",
    "CentreOfMass",
    "Codec",
    "Equal",
    "Gaussian",
    "Heatmap",
    "Laplace",
    "QuarterShift",
    "SRHeatmap",
    "SecondMax",
    "SimCC",
    "SoftArgmax",
]
