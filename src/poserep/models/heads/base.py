"""What heads share: their interface, deconvolutions and the papers' initialisation."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from poserep.errors import InputError


class AxisLike(Protocol):
    """One spatial axis of the codec: ``length`` input px in ``n`` bins."""

    length: int
    n: int


class Stacks(tuple[Any, ...]):
    """Outputs of one form, one for each stack of a network, first to last; all are held against the same target."""


class Head(nn.Module):
    """Features to output. Everything with parameters; knows no coordinates.

    A head on several stacks emits `Stacks` in training and the last stack's output otherwise.

    Heads are built as ``Head(channels, strides, num_keypoints, x, y, **own options)``: channels and strides of the
    backbone's maps, and the axes of the codec.

    Attributes:
        form: What kind of output the head emits, in words; the codec must read the same.
    """

    form: str

    def forward(self, features: Sequence[Tensor]) -> Any:
        """Maps, fine to coarse, to what the codec reads."""
        raise NotImplementedError


TOKENS = "take a heatmap, SimCC, integral or regression representation, or a backbone that gives maps"
STACKS = "take a heatmap, SimCC or integral representation, or a backbone that gives maps"


def only_tokens(head: str, channels: Sequence[int], strides: Sequence[int]) -> int:
    """Width of the keypoint tokens of a backbone.

    Raises:
        InputError: If it gives maps.
    """
    if strides:
        raise InputError(
            f"{head} reads keypoint tokens, but the backbone gives maps of strides {list(strides)}; take a backbone "
            "with keypoint tokens, such as tokenpose_s, or a head that reads maps"
        )
    return channels[0]


def only_map(head: str, channels: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Channels and stride of the only map of a backbone.

    Raises:
        InputError: If there are several: those that the head does not read would be parameters without gradient. Or
            if there are keypoint tokens in place of maps.
    """
    if not strides:
        raise InputError(f"{head} reads a map, but the backbone gives keypoint tokens; {TOKENS}")
    if len(channels) > 1 and len(set(strides)) == 1:
        raise InputError(f"{head} reads one map, but the backbone predicts in {len(channels)} stacks; {STACKS}")
    if len(channels) != 1:
        raise InputError(
            f"{head} reads one map, but the backbone gives {len(channels)}, of strides {list(strides)}; take a "
            "backbone whose name does not end in _pyramid, or representation=srpose"
        )
    return channels[0], strides[0]


def deconvolutions(channels: int, layers: int, width: int = 256) -> nn.Sequential:
    """``layers`` times: transposed convolution 4x4 of stride 2, batch norm, ReLU (Xiao et al. 2018)."""
    modules: list[nn.Module] = []
    for _ in range(layers):
        modules += [
            nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        channels = width
    return nn.Sequential(*modules)


def doublings(head: str, stride: int, target: float) -> int:
    """How often a map of ``stride`` must double to reach stride ``target``.

    Raises:
        InputError: If no whole number of doublings does it.
    """
    layers = math.log2(stride / target)
    if layers < 0 or not layers.is_integer():
        raise InputError(
            f"{head}: cannot get from the backbone's stride {stride} to stride {target:g} by doubling; "
            "choose a backbone with a coarser map or a representation with another stride"
        )
    return int(layers)
