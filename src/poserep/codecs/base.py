"""What every codec must be able to do."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import fields
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from poserep.batch import Points
from poserep.codecs.deviations import Deviations
from poserep.codecs.flip_shift import mirror_image, mirror_shifts, unmirror
from poserep.errors import InputError, nearest
from poserep.geometry import ALIGNMENTS, Align, Axis, Size


class Codec(nn.Module, ABC):
    """Everything about coordinates: targets, loss, decoding, flip test, score. What is learnt belongs to heads.

    ``out`` is what the head emits, opaque outside the pair of head and codec. Points are in input px. Constructors take
    the ``size`` of the input, options of their own, the alignment of bins ``align`` (see `Axis`), where there are
    several ``readouts``, and what departs from the ideal algorithm to reproduce published code (see `Deviations`).

    Attributes:
        form: Kind of output that the codec reads, in words; a head that emits another form is refused.
        x: The horizontal axis.
        y: The vertical axis.
        readouts: Ways to decode one trained output, by name; the first is the default.
        deviations: See `Deviations`.
        temperature: Contract scores are raised to its inverse; 1 until it is fitted, see `poserep.training.calibrate`.
        mirror_px: Input px by which `mirror` moves the mirrored image to the right.
        flip_shift: Bins by which `merge` moves the un-mirrored output to the right.
    """

    form: str

    def __init__(self, x: Axis, y: Axis, readouts: Mapping[str, Callable[..., Any]], **deviations: Any) -> None:
        """Store what all codecs have; raises `InputError` without readouts, or if a deviation is unknown or wrong."""
        super().__init__()
        if not readouts:
            raise InputError(f"{type(self).__name__}: needs at least one readout")
        known = [field.name for field in fields(Deviations)]
        for option in deviations:
            if option not in known:
                kinds = [kind for kind in type(self).__mro__ if issubclass(kind, Codec)]
                known += [name for kind in kinds for name in signature(kind).parameters]
                raise InputError(f"{type(self).__name__}: no option {option}{nearest(option, dict.fromkeys(known))}")
        try:
            self.deviations = Deviations(**deviations)
        except InputError as error:
            raise InputError(f"{type(self).__name__}: {error}") from error
        self.x, self.y, self.readouts = x, y, dict(readouts)
        self.temperature: Tensor
        self.register_buffer("temperature", torch.tensor(1.0))
        self.mirror_px, bins = mirror_shifts(x, self.deviations.flip_shift)
        self.flip_shift = float(bins)

    def readout(self, name: str | None) -> Callable[..., Any]:
        """Return the readout of that name, or the default one.

        Raises:
            InputError: If there is none of that name.
        """
        if name is None:
            return next(iter(self.readouts.values()))
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
        return unmirror(maps, perm, self.flip_shift)

    @abstractmethod
    def encode(self, xy: Tensor, weight: Tensor) -> tuple[Any, Tensor]:
        """Make targets of (B, K, 2) points in input px and (B, K) weights, on their device.

        Returns:
            The target, in the codec's own form, and the weights, 0 where the joint cannot be learnt from.
        """

    @abstractmethod
    def loss(self, out: Any, target: Any, weight: Tensor) -> Tensor:
        """Compute a scalar, which joints of weight 0 do not influence."""

    @abstractmethod
    def decode(self, out: Any, readout: str | None = None) -> Points:
        """Read points in input px, and their scores, from a head's output."""

    @abstractmethod
    def merge(self, out: Any, mirrored: Any, perm: Tensor) -> Any:
        """Average ``out`` with the output for the mirrored image, un-mirrored and realigned, as a flip test does.

        Args:
            out: For the image.
            mirrored: For the mirrored image.
            perm: (K,) from `Skeleton.flip_perm`.
        """

    def oracle(self, target: Any) -> Any:
        """Return the output that a perfect head would emit for this target, here the target itself."""
        return target

    @abstractmethod
    def density(self, out: Any) -> dict[str, Tensor]:
        """Return what the output says about position, for pictures: ``map`` (B, K, h, w), or ``x``, ``y`` (B, K, n)."""


def axes(size: Size | str, bins_per_px: float, align: Align) -> tuple[Axis, Axis]:
    """Return the x and y axes of an input of ``size`` with that many bins per pixel, rounded to whole bins.

    Raises:
        InputError: If the alignment is unknown, or an axis would have less than two bins.
    """
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
