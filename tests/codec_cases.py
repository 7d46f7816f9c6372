"""Every codec that the contract is checked on, and points to check it with."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from poserep import codecs
from poserep.codecs import (
    DARK,
    ArgmaxBin,
    AxisExpectedOKS,
    Codec,
    Equal,
    Gaussian,
    Heatmap,
    Laplace,
    MultiScale,
    SoftArgmax,
    Softened,
    SRHeatmap,
    UnitGaussian,
)
from poserep.codecs.losses import MLECC, MSE, ExpectedRisk
from poserep.geometry import ALIGNMENTS, Align, Size

SIZES = ("64x64", "128x96", "256x192")
PERM = torch.tensor([0, 2, 1, 4, 3])
SIGMAS = (0.026, 0.079, 0.079, 0.107, 0.107)
LABELS = {
    "equal": Equal(),
    "onehot": Equal(0.0),
    "gaussian": Gaussian(),
    "gaussian-raw": Gaussian(4.0, renormalise=False),
    "gaussian-rounded": Gaussian(4.0, rounded=True),
    "laplace": Laplace(),
}


@dataclass(frozen=True)
class Case:
    """One codec, built anew for each test."""

    name: str
    make: Callable[..., Codec]
    size: str
    align: Align
    k: float

    def __call__(self, **options: Any) -> Any:
        return self.make(self.size, align=self.align, **options)

    def __str__(self) -> str:
        return f"{self.name}-{self.size}-{self.align}"


def _heatmap(kind: type[Heatmap], **fixed: Any) -> Callable[..., Codec]:
    def make(size: str, **options: Any) -> Codec:
        small = size != "256x192"
        # The published pairs: sigma 1 and kernel 3 up to 128x128, sigma 2 and kernel 11 above.
        sigma = {"sigma" if kind is Heatmap else "base_sigma": 1.0 if small else 2.0}
        readouts = {"argmax": codecs.Argmax(), "quarter": codecs.QuarterShift(), "second": codecs.SecondMax()}
        kernel = 3 if small and kind is Heatmap else 11
        readouts |= {"dark": DARK(kernel), "udp": codecs.UDPDARK(kernel, max_step=1.0)}
        readouts["oks"] = codecs.ExpectedOKS(SIGMAS)
        return kind(size, readouts=readouts, **sigma, **fixed, **options)

    return make


def _other(kind: type[Codec], **fixed: Any) -> Callable[..., Codec]:
    return lambda size, **options: kind(size, **fixed | options)


OKS = {"oks": codecs.ExpectedOKS(), "probpose": codecs.ProbPose(), "argmax": codecs.Argmax()}
PEAKS = {"argmax": codecs.Argmax(), "shift": codecs.QuarterShift()}
UNBIASED: dict[str, Any] = {"quantise": "none", "truncate": None}
DEBIASED = SoftArgmax(10.0, "exact")
_MAKERS = [
    ("heatmap", _heatmap(Heatmap), 0.25),
    ("heatmap-unbiased", _heatmap(Heatmap, **UNBIASED), 0.25),
    ("heatmap-udp", _heatmap(Heatmap, quantise="none", window="rounded"), 0.25),
    ("heatmap-floor", _heatmap(Heatmap, quantise="floor"), 0.25),
    ("heatmap-ceil", _heatmap(Heatmap, quantise="ceil", truncate=None), 0.25),
    ("heatmap-ceil-px", _heatmap(Heatmap, quantise="ceil", grid="px", truncate=None), 0.25),
    ("sr1", _heatmap(SRHeatmap, scale=1), 1),
    ("sr1-unbiased", _heatmap(SRHeatmap, **UNBIASED, scale=1), 1),
    ("sr2", _heatmap(SRHeatmap, scale=2), 2),
    ("srpose", _heatmap(MultiScale, scale=1), 1),
    ("srpose-drawn", _heatmap(MultiScale, **UNBIASED, scale=0.5, targets="drawn", supervise=(0, 1, 1, 1)), 0.5),
    *[(f"nerpe-{profile}", _other(codecs.ContinuousHeatmap, profile=profile, readouts=PEAKS), 1)
      for profile in ("gaussian", "laplace")],
    ("nerpe-half", _other(codecs.ContinuousHeatmap, scale=0.5, readouts=PEAKS), 0.5),
    ("ipr", _other(codecs.Integral), 0.25),
    ("dsnt", _other(codecs.Integral, divergence=1.0), 0.25),
    ("udp-combined", _other(codecs.UDPCombined), 0.25),
    ("ipr-sampled", _other(codecs.SamplingArgmax, samples=4), 0.25),
    ("ipr-debiased", _other(codecs.Integral, position=DEBIASED), 0.25),
    ("bcir", _other(codecs.Integral, sigma=2.0, position=DEBIASED, prior=MSE(10.0)), 0.25),
    *[(f"probmap{name}", _other(codecs.ProbMap, sigmas=SIGMAS, criterion=ExpectedRisk(smoothness), readouts=OKS), 0.25)
      for name, smoothness in (("", 0.0), ("-smooth", 0.05))],
    ("simcc-oks-k1.5", _other(codecs.SimCC, readouts={"argmax": ArgmaxBin(), "oks": AxisExpectedOKS(SIGMAS)}), 1.5),
    ("regression", _other(codecs.Regression), 1),
    ("rle", _other(codecs.RLE), 1),
    ("gaussian-regression", _other(codecs.GaussianRegression), 1),
    *[(f"axis-heatmap-k{k:g}", _other(codecs.AxisHeatmap, k=k), k) for k in (1, 1.5)],
    *[(f"simcc-{name}-k{k:g}", _other(codecs.SimCC, label=label, k=k), k)
      for name, label in LABELS.items() for k in (1, 1.5, 3)],
    *[(f"rtmcc{name}-k{k:g}", _other(codecs.SimCC, label=Softened(rounded=rounded), k=k, beta=10, merge_on=merge), k)
      for name, rounded, merge, k in (("", False, "logits", 2), ("-p", False, "probabilities", 1.5),
                                      ("-rounded", True, "logits", 1))],
    ("mlecc-k1.5", _other(codecs.SimCC, label=UnitGaussian(), criterion=MLECC(), k=1.5), 1.5),
]  # fmt: skip
CASES = [
    Case(name, make, size, align, k)
    for name, make, k in _MAKERS
    for size in SIZES
    for align in ALIGNMENTS
    if align != "dark" or size == "128x96"  # equals "edge" on square inputs
]
# Every codec and alignment at the smallest size that has it, for what costs much and depends on size little.
SMALL = [case for case in CASES if case.size == ("128x96" if case.align == "dark" else "64x64")]
# One codec per kind and alignment, for what does not depend on size.
FEW = [case for case in SMALL if case.k in (0.25, 1.5) or not re.search("simcc|axis", case.name)]


def over(cases: Sequence[Case]) -> Callable[[Callable[[Case], None]], Any]:
    """Decorate a test of a case to run for each codec once, on all of its cases; ``on`` is the test of a case."""
    by_name: dict[str, list[Case]] = {}
    for case in cases:
        by_name.setdefault(case.name, []).append(case)

    def decorate(function: Callable[[Case], None]) -> Any:
        @pytest.mark.parametrize("codec_name", by_name)
        def test(codec_name: str) -> None:
            for case in by_name[codec_name]:
                try:
                    function(case)
                except BaseException as error:
                    error.add_note(f"case: {case}")
                    raise

        test.on = function  # type: ignore[attr-defined]
        return test

    return decorate


def points(size: str, batch: int = 2, seed: int = 0, margin: float = 0.0) -> Tensor:
    """Return (batch, 5, 2) random points of the crop; ``margin`` is a part of the side left out at each end."""
    height, width = Size.parse(size)
    side = torch.tensor([width, height])
    part = margin + (1 - 2 * margin) * torch.rand(batch, 5, 2, generator=torch.Generator().manual_seed(seed))
    return (part * side - 0.5).clamp_max(side - 0.501)


def mirror(xy: Tensor, codec: Codec) -> Tensor:
    """Return the points as the codec's mirrored image shows them, roles exchanged."""
    flipped = xy.clone()
    flipped[..., 0] = codec.x.length - 1 - xy[..., 0] + codec.mirror_px
    return flipped[:, PERM]


def each(out: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Apply to a tensor or to each of several; what is no tensor stays."""
    if isinstance(out, tuple):
        return tuple(function(o) if isinstance(o, Tensor) else o for o in out)
    return function(out)


def leaves(out: Any) -> tuple[Tensor, ...]:
    """Return the tensors of an output."""
    return tuple(o for o in out if isinstance(o, Tensor)) if isinstance(out, tuple) else (out,)


def noise(out: Any, size: float, seed: int = 0) -> Any:
    """Return the output with normal noise."""
    generator = torch.Generator().manual_seed(seed)
    return each(out, lambda o: o + size * torch.randn(o.shape, generator=generator))
