"""Codecs: everything about coordinates. See `Codec`."""

from poserep.codecs.associative_embedding import AssociativeEmbedding, WithoutFlip
from poserep.codecs.associative_losses import MaskedMSE, TagLoss
from poserep.codecs.base import Codec, Deviations
from poserep.codecs.continuous import ContinuousHeatmap
from poserep.codecs.dark import DARK
from poserep.codecs.expected_oks import AxisExpectedOKS, ExpectedOKS, ProbPose
from poserep.codecs.gaussian import GaussianRegression
from poserep.codecs.grouping import Adjust, TagParser
from poserep.codecs.heatmap import Heatmap, SRHeatmap
from poserep.codecs.integral import Integral
from poserep.codecs.label_smoothing import Equal, Gaussian, Laplace, Softened, UnitGaussian
from poserep.codecs.multiscale import MultiScale
from poserep.codecs.oks_spread import PersonArea, ProbPoseSpread, SameSpread
from poserep.codecs.probmap import ProbMap
from poserep.codecs.readouts import Argmax, CentreOfMass, QuarterShift, SecondMax, SoftArgmax
from poserep.codecs.regression import RLE, Regression
from poserep.codecs.sampling import SamplingArgmax
from poserep.codecs.simcc import ArgmaxBin, AxisHeatmap, SimCC
from poserep.codecs.udp_combined import PeakOffset, UDPCombined
from poserep.codecs.udp_dark import UDPDARK
