"""What every codec must be able to do, and the deviations of published code that every codec can reproduce."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from inspect import signature
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from poserep.codecs.flip_shift import mirror_image, mirror_shifts, shift_bins
from poserep.errors import InputError, check_choice, nearest
from poserep.geometry import ALIGNMENTS, Align, Axis, Size

Score = Literal["contract", "published"]
Bounds = Literal["crop", "published"]


class Points(NamedTuple):
    """Predicted keypoints (B, K, 2), in input px or image px as documented, and scores (B, K) in [0, 1]."""

    xy: Tensor
    score: Tensor


class People(NamedTuple):
    """Predicted persons of a batch of images, as many as there are, where an output shows several.

    ``row`` (N,) int64 is the sample that each is in, in ascending order. Keypoints ``xy`` (N, K, 2) are in input px,
    their scores (N, K) in [0, 1], 0 for joints that were not found; ``person_score`` (N,) ranks the persons.
    """

    row: Tensor
    xy: Tensor
    score: Tensor
    person_score: Tensor


@dataclass(frozen=True)
class Deviations:
    """What published code does differently from the ideal algorithm: options of every codec beside its own.

    By default all joints inside the crop are learnt, and a flip test changes nothing for an equivariant network.

    Attributes:
        score: ``contract`` is in [0, 1] and 1 for the codec's own perfect target; ``published`` is what the papers'
            code calls score, see each codec.
        bounds: Which joints are learnt: those inside the ``crop``, or by the ``published`` rule, which keeps some
            beside it. Codecs without a published rule keep those of the crop.
        flip_shift: Bins by which the flip test moves the un-mirrored output to the right: 1 in HRNet's and SRPose's
            code, -1 in SimCC's, whatever its number of bins. None is exact, see `poserep.codecs.flip_shift`.
        score_threshold: Joints with a lower score do not count in a person's score: 0.2 in HRNet's code, 0.005 to 0.02
            for SimCC's published score. Only 0 means the same to all codecs.
    """

    score: Score = "contract"
    bounds: Bounds = "crop"
    flip_shift: float | None = None
    score_threshold: float = 0.2

    def __post_init__(self) -> None:
        check_choice("score", self.score, get_args(Score))
        check_choice("bounds", self.bounds, get_args(Bounds))
        if not isinstance(self.score_threshold, int | float) or not 0 <= self.score_threshold < 1:
            raise InputError(f"score_threshold={self.score_threshold!r} must be a number in [0, 1)")
        shift = self.flip_shift
        if shift is not None and not (isinstance(shift, int | float) and math.isfinite(shift)):
            raise InputError(f"flip_shift={shift!r} must be a number of bins, or null")


class Codec(nn.Module, ABC):
    """Everything about coordinates: targets, loss, decoding, flip test, score. What is learnt belongs to heads.

    ``out`` is what the head emits, opaque outside the pair of head and codec. Constructors take the ``size`` of the
    input, options of their own, the alignment of bins ``align`` (see `Axis`), ``readouts`` where there are several,
    ``sigmas``, the OKS sigmas of the joints, which readouts without sigmas of their own are given, and `Deviations`.

    Attributes:
        form: Kind of output that the codec reads, in words; a head that emits another form is refused.
        x, y: The horizontal and the vertical axis.
        readouts: Ways to decode one trained output, by name; the first is the default.
        temperature: Contract scores are raised to its inverse; 1 until it is fitted, see `poserep.training.calibrate`.
        mirror_px: Input px by which `mirror` moves the mirrored image to the right.
        flip_shift: Bins by which `merge` moves the un-mirrored output to the right.
    """

    form: str

    def __init__(
        self,
        x: Axis,
        y: Axis,
        readouts: Mapping[str, Callable[..., Any]],
        sigmas: Sequence[float] | None = None,
        **deviations: Any,
    ) -> None:
        super().__init__()
        if not readouts:
            raise InputError(f"{type(self).__name__}: needs at least one readout")
        known = [field.name for field in fields(Deviations)]
        if unknown := next((option for option in deviations if option not in known), None):
            kinds = [kind for kind in type(self).__mro__ if issubclass(kind, Codec)]
            known += [name for kind in kinds for name in signature(kind).parameters]
            raise InputError(f"{type(self).__name__}: no option {unknown}{nearest(unknown, dict.fromkeys(known))}")
        try:
            self.deviations = Deviations(**deviations)
        except InputError as error:
            raise InputError(f"{type(self).__name__}: {error}") from error
        self.x, self.y, self.sigmas = x, y, None if sigmas is None else tuple(sigmas)
        self.readouts = {
            # Of all readouts those by OKS alone have sigmas.
            name: replace(each, sigmas=self.sigmas) if getattr(each, "sigmas", ()) is None else each  # type: ignore
            for name, each in readouts.items()
        }
        self.temperature = nn.Buffer(torch.tensor(1.0))
        self.mirror_px, bins = mirror_shifts(x, self.deviations.flip_shift)
        self.flip_shift = float(bins)

    def readout(self, name: str | None) -> Callable[..., Any]:
        """Return the readout of that name, or the default one."""
        name = next(iter(self.readouts)) if name is None else name
        if name not in self.readouts:
            raise InputError(f"{type(self).__name__} has no readout {name!r}; it has {list(self.readouts)}")
        return self.readouts[name]

    def in_crop(self, xy: Tensor) -> Tensor:
        """Return whether the crop shows each of (B, K, 2) points in input px, (B, K) bool."""
        return self.x.contains(xy[..., 0]) & self.y.contains(xy[..., 1])

    def to_px(self, position: Tensor) -> Tensor:
        """Convert (B, K, 2) bins to (B, K, 2) input px."""
        return torch.stack([self.x.to_px(position[..., 0]), self.y.to_px(position[..., 1])], -1)

    def to_bins(self, xy: Tensor) -> Tensor:
        """Convert (B, K, 2) input px to (B, K, 2) fractional bins."""
        return torch.stack([self.x.to_bin(xy[..., 0]), self.y.to_bin(xy[..., 1])], -1)

    def contract_score(self, share: Tensor) -> Tensor:
        """Turn shares of what the perfect target shows, any number, into calibrated scores in [0, 1], same shape."""
        return share.clamp(0, 1) ** (1 / self.temperature)

    def mirror(self, image: Tensor) -> Tensor:
        """Return images (B, C, H, W) as the flip test shows them to the network."""
        return mirror_image(image, self.mirror_px)

    def unmirror(self, maps: Tensor, perm: Tensor) -> Tensor:
        """Turn an output (B, K, ..., n) for the mirrored image into one for the image itself."""
        n, perm = maps.shape[-1], perm.to(maps.device)
        if not self.flip_shift.is_integer() or maps.requires_grad or torch.compiler.is_exporting():
            return shift_bins(maps.index_select(1, perm).flip(-1), self.flip_shift)
        # Swapping joints, mirroring and moving in one pass over the values takes half the time.
        rows = math.prod(maps.shape[2:-1])
        column = (n - 1 - torch.arange(n, device=maps.device) + int(self.flip_shift)).clamp(0, n - 1)
        row = perm[:, None] * rows + torch.arange(rows, device=maps.device)
        index = (row.flatten()[:, None] * n + column).flatten()
        return maps.flatten(1).index_select(1, index).view_as(maps)

    def example(self, num_keypoints: int) -> tuple[Tensor, ...]:
        """Return the labels of one image, as `encode` takes them, to try whether a network's parts fit."""
        return torch.zeros(1, num_keypoints, 2), torch.ones(1, num_keypoints)

    def uses_flip_test(self, readout: str) -> bool:
        """Tell whether a readout reads what the flip test has made of an output."""
        return True

    def options(self) -> dict[str, Any]:
        """Return the options of decoding beside readout and deviations that predictions depend on, for protocols."""
        return {}

    @abstractmethod
    def encode(self, xy: Tensor, weight: Tensor) -> tuple[Any, Tensor]:
        """Turn points (B, K, 2), input px, and weights (B, K) into targets and weights, 0 where none can be learnt.

        Codecs of whole images take what their batches' ``labels`` hold, see `poserep.data.scenes.SceneBatch`.
        """

    @abstractmethod
    def loss(self, out: Any, target: Any, weight: Tensor) -> Tensor:
        """Compute a mean over samples, so that parts of a batch add up; joints of weight 0 do not influence it."""

    @abstractmethod
    def decode(self, out: Any, readout: str | None = None) -> Points | People:
        """Read points in input px, and their scores, from a head's output."""

    def decode_each(self, out: Any, readouts: Sequence[str]) -> list[Any]:
        """Read an output with several readouts, each as `decode` does."""
        return [self.decode(out, name) for name in readouts]

    @abstractmethod
    def merge(self, out: Any, mirrored: Any, perm: Tensor) -> Any:
        """Average the outputs for an image and its mirror image, un-mirrored by ``perm`` (K,), `Skeleton.flip_perm`."""

    def aggregate(self, outs: Sequence[Any]) -> Any:
        """Return one output of those for the same images at several scales, the first of which is that of training."""
        if len(outs) > 1:
            raise InputError(f"{type(self).__name__} reads images at one scale, not at {len(outs)}")
        return outs[0]

    def oracle(self, target: Any) -> Any:
        """Return the output that a perfect head would emit for this target, here the target itself."""
        return target

    @abstractmethod
    def density(self, out: Any) -> dict[str, Tensor]:
        """Return what the output says about position, for pictures: ``map`` (B, K, h, w), or ``x``, ``y`` (B, K, n)."""


def axes(size: Size | str, bins_per_px: float, align: Align) -> tuple[Axis, Axis]:
    """Return the x and y axes of an input of ``size`` with that many bins per pixel, rounded to at least two bins."""
    check_choice("align", align, ALIGNMENTS)
    size = Size.parse(size)
    width, height = round(size.width * bins_per_px), round(size.height * bins_per_px)
    # DarkPose's code makes bins as it makes crops, with one scale for both axes, the width's.
    per_px = (width - 1) / max(1, size.width - 1) if align == "dark" else None
    x, y = Axis(size.width, width, align, per_px), Axis(size.height, height, align, per_px)
    if min(x.n, y.n) < 2:
        raise InputError(f"size {size} leaves {y.n}x{x.n} bins at {bins_per_px:g} bins a pixel; need at least 2x2")
    return x, y
