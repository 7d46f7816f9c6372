"""What all heads share: their interface, what they are built for, and deconvolutions."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from poserep.errors import InputError
from poserep.geometry import Axis


@dataclass(frozen=True)
class HeadSpec:
    """What a head is built for: channels and strides of the backbone's features, and the codec's axes.

    The methods refuse backbones that give other features than the head reads.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    num_keypoints: int
    x: Axis
    y: Axis

    @property
    def stride(self) -> float:
        """Input px per bin of the codec."""
        return self.x.length / self.x.n

    def one_map(self, head: nn.Module) -> tuple[int, int]:
        """Return channels and stride of the backbone's only map: others would be parameters without gradient."""
        name, n = type(head).__name__, len(self.strides)
        if n == 0:
            raise InputError(f"{name} reads a map, but the backbone gives keypoint tokens; {FOR_TOKENS}")
        if n > 1 and len(set(self.strides)) == 1:
            raise InputError(f"{name} reads one map, but the backbone predicts in {n} stacks; {STACKS}")
        if n > 1:
            raise InputError(
                f"{name} reads one map, but the backbone gives {n}, of strides {list(self.strides)}; name one of them "
                "(backbone.out_indices), or take representation=srpose"
            )
        return self.channels[0], self.strides[0]

    def tokens(self, head: nn.Module) -> int:
        """Return the width of the backbone's keypoint tokens."""
        if self.strides:
            raise InputError(
                f"{type(head).__name__} reads keypoint tokens, but the backbone gives maps of strides "
                f"{list(self.strides)}; take a backbone with keypoint tokens, such as tokenpose_s, or a head that "
                "reads maps"
            )
        return self.channels[0]

    def score_maps(self, head: nn.Module) -> int:
        """Return the stride of the score maps, K channels each, that a stacked backbone gives."""
        if len(set(self.strides)) != 1 or set(self.channels) != {self.num_keypoints}:
            maps = f"{list(self.channels)} channels at strides {list(self.strides)}"
            raise InputError(
                f"{type(head).__name__} reads the score maps of a stacked network, {self.num_keypoints} channels at "
                f"one stride, but the backbone gives {maps if self.strides else 'keypoint tokens'}; take a backbone "
                "such as hg4, or the representation's own head"
            )
        return self.strides[0]


FOR_TOKENS = "take a heatmap, SimCC, integral or regression representation, or a backbone that gives maps"
STACKS = "take a heatmap, SimCC or integral representation, or a backbone that gives maps"


class Stacks(tuple[Any, ...]):
    """Outputs of one form, one for each stack of a network, first to last; all are compared with the same target."""


class Head(nn.Module):
    """Turns maps, fine to coarse, or keypoint tokens into what a codec reads; has parameters, knows no coordinates.

    Heads are built as ``Head(spec, **own options)`` and raise an `InputError` if they do not read such features. A head
    on several stacks emits `Stacks` in training and the last stack's output otherwise.

    Attributes:
        form: What kind of output the head emits, in words; the codec must read the same.
        multiscale: Whether the head reads maps of several resolutions: backbones are built to give them if they can.
    """

    form: str
    multiscale: ClassVar[bool] = False


def deconvolved(
    head: nn.Module, spec: HeadSpec, stride: float | None, width: int, instance_norm: bool = False
) -> tuple[nn.Sequential, int, float]:
    """Return deconvolutions that bring the backbone's only map to a stride, and the channels and stride of the result.

    Each is a transposed convolution 4x4 of stride 2 to ``width`` channels, batch norm, ReLU (Xiao et al. 2018), or with
    ``instance_norm`` what `normed` has in their place. Without a ``stride`` there is none.
    """
    channels, coarse = spec.one_map(head)
    target, modules = coarse if stride is None else stride, list[nn.Module]()
    for _ in range(doublings(head, coarse, target)):
        convolution = nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1, bias=False)
        modules += [convolution, *normed(width, instance_norm)]
        channels = width
    return nn.Sequential(*modules), channels, target


def normed(width: int, instance_norm: bool) -> list[nn.Module]:
    """Return batch norm and ReLU; with ``instance_norm`` each image's and channel's own norm and SiLU.

    The latter has neither parameters nor running averages, so that files of weights have no entries for it (Khirodkar
    et al. 2024, Sapiens).
    """
    return [nn.InstanceNorm2d(width), nn.SiLU()] if instance_norm else [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]


def doublings(head: nn.Module, stride: float, target: float) -> int:
    """Return how often a map of ``stride`` must double its resolution to reach stride ``target``, a whole number."""
    layers = math.log2(stride / target)
    if layers < 0 or not layers.is_integer():
        raise InputError(
            f"{type(head).__name__}: cannot get from the backbone's stride {stride} to stride {target:g} by doubling; "
            "choose a backbone with a coarser map or a representation with another stride"
        )
    return int(layers)
