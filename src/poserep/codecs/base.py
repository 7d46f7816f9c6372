"""What every representation must be able to do."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from poserep.batch import Points
from poserep.codecs.memory import empty
from poserep.errors import InputError
from poserep.geometry import ALIGNMENTS, Align, Axis, Size, mirror_image, shift_bins

Score = Literal["contract", "published"]
Bounds = Literal["crop", "published"]


class Codec(nn.Module, ABC):
    """Everything about coordinates: targets, loss, decoding, flip test, score. What is learnt belongs to heads.

    ``out`` is what the head emits, opaque outside the pair of head and codec. Points are in input px. A codec's score
    is in [0, 1] and 1 for its own perfect target (``score="contract"``), or the one of the papers' code
    (``score="published"``).

    Attributes:
        form: What kind of output the codec reads, in words; a head that emits another form is refused.
        x: The horizontal axis.
        y: The vertical axis.
        readouts: Ways to decode one trained output, by name; the first is the default.
        score_threshold: Joints with a lower score do not count when an instance's score is formed.
        temperature: Contract scores are raised to its inverse; 1 until it is fitted, see `poserep.training.calibrate`.
        mirror_px: Input px by which `mirror` moves the mirrored image to the right.
        flip_shift: Bins by which `merge` moves the un-mirrored response to the right.
    """

    form: str
    x: Axis
    y: Axis
    score_threshold: float

    def __init__(
        self,
        x: Axis,
        y: Axis,
        readouts: Mapping[str, Callable[..., Any]],
        score: Score = "contract",
        bounds: Bounds = "crop",
        flip_shift: float | None = None,
        score_threshold: float = 0.2,
    ) -> None:
        super().__init__()
        for value, known in ((score, ("contract", "published")), (bounds, ("crop", "published"))):
            if value not in known:
                raise InputError(f"{type(self).__name__}: expected one of {known}, got {value!r}")
        if not readouts:
            raise InputError(f"{type(self).__name__}: needs at least one readout")
        if not isinstance(score_threshold, int | float) or not 0 <= score_threshold < 1:
            raise InputError(f"{type(self).__name__}: score_threshold={score_threshold!r} must be a number in [0, 1)")
        if flip_shift is not None and not (isinstance(flip_shift, int | float) and math.isfinite(flip_shift)):
            raise InputError(f"{type(self).__name__}: flip_shift={flip_shift!r} must be a number of bins, or null")
        self.x, self.y, self.score_threshold = x, y, float(score_threshold)
        self.readouts = dict(readouts)
        self.score, self.bounds = score, bounds
        self.temperature: Tensor
        self.register_buffer("temperature", torch.tensor(1.0))
        self.mirror_px, exact = x.mirror_shifts()
        self.flip_shift = float(exact)
        if flip_shift is not None:
            self.mirror_px, self.flip_shift = 0, float(flip_shift)

    def readout(self, name: str | None) -> Callable[..., Any]:
        """The readout of that name, or the default one.

        Raises:
            InputError: If there is none of that name.
        """
        if name is None:
            return next(iter(self.readouts.values()))
        if name not in self.readouts:
            raise InputError(f"{type(self).__name__} has no readout {name!r}; it has {list(self.readouts)}")
        return self.readouts[name]

    def in_crop(self, xy: Tensor) -> Tensor:
        """(B, K, 2) input px to (B, K) bool: whether the crop shows the point."""
        return self.x.contains(xy[..., 0]) & self.y.contains(xy[..., 1])

    def to_px(self, position: Tensor) -> Tensor:
        """(B, K, 2) bins to (B, K, 2) input px."""
        return torch.stack([self.x.to_px(position[..., 0]), self.y.to_px(position[..., 1])], -1)

    def to_bins(self, xy: Tensor) -> Tensor:
        """(B, K, 2) input px to (B, K, 2) fractional bins."""
        return torch.stack([self.x.to_bin(xy[..., 0]), self.y.to_bin(xy[..., 1])], -1)

    def contract_score(self, score: Tensor) -> Tensor:
        """A share of what the perfect target shows, any number, to the calibrated score in [0, 1], same shape."""
        return score.clamp(0, 1) ** (1 / self.temperature)

    def mirror(self, image: Tensor) -> Tensor:
        """The image (B, C, H, W) as the flip test shows it to the network; see `Axis.mirror_shifts`."""
        return mirror_image(image, self.mirror_px)

    def unmirror(self, maps: Tensor, perm: Tensor) -> Tensor:
        """A response (B, K, ..., n) to the mirrored image, as if to the image itself."""
        n = maps.shape[-1]
        if not self.flip_shift.is_integer() or maps.requires_grad or torch.compiler.is_exporting():
            return shift_bins(maps.index_select(1, perm.to(maps.device)).flip(-1), self.flip_shift)
        # Swapping joints, turning round and moving in one pass over the values.
        rows = math.prod(maps.shape[2:-1])
        column = (n - 1 - torch.arange(n, device=maps.device) + int(self.flip_shift)).clamp(0, n - 1)
        row = perm.to(maps.device)[:, None] * rows + torch.arange(rows, device=maps.device)
        index = (row.flatten()[:, None] * n + column).flatten()
        out = empty((len(maps), len(index)), maps)
        return torch.index_select(maps.flatten(1), 1, index, out=out).view_as(maps)

    @abstractmethod
    def encode(self, xy: Tensor, weight: Tensor) -> tuple[Any, Tensor]:
        """Targets for (B, K, 2) points in input px and (B, K) weights, on their device.

        Returns:
            The target, in the codec's own form, and the weights, 0 where the joint cannot be learnt from.
        """

    @abstractmethod
    def loss(self, out: Any, target: Any, weight: Tensor) -> Tensor:
        """A scalar; joints of weight 0 do not influence it."""

    @abstractmethod
    def decode(self, out: Any, readout: str | None = None) -> Points:
        """Points in input px from a head's output."""

    @abstractmethod
    def merge(self, out: Any, mirrored: Any, perm: Tensor) -> Any:
        """Flip test: average ``out`` with the output for the mirrored image, un-mirrored and realigned.

        Args:
            out: For the image.
            mirrored: For the mirrored image.
            perm: (K,) from `Skeleton.flip_perm`.
        """

    @abstractmethod
    def oracle(self, target: Any) -> Any:
        """The output that a perfect head would emit for this target."""

    @abstractmethod
    def density(self, out: Any) -> dict[str, Tensor]:
        """What the output says about position, for pictures: ``map`` (B, K, h, w), or ``x`` and ``y`` (B, K, n)."""


def axes(size: Size | str, bins_per_px: float, align: Align) -> tuple[Axis, Axis]:
    """The x and y axes of an input of ``size`` with that many bins for a pixel (rounded to whole bins)."""
    if align not in ALIGNMENTS:
        raise InputError(f"align={align!r} is not one of {ALIGNMENTS}")
    size = Size.parse(size)
    width, height = round(size.width * bins_per_px), round(size.height * bins_per_px)
    # DarkPose's code makes bins as it makes crops, with one scale for both axes, the width's.
    per_px = (width - 1) / max(1, size.width - 1) if align == "dark" else None
    x, y = Axis(size.width, width, align, per_px), Axis(size.height, height, align, per_px)
    if min(x.n, y.n) < 2:
        raise InputError(f"size {size} leaves {y.n}x{x.n} bins at {bins_per_px:g} bins a pixel; need at least 2x2")
    return x, y
