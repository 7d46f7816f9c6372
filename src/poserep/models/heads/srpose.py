"""SRPose: a neck that fuses maps of several resolutions, and a predictor on each."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poserep.errors import InputError
from poserep.models.heads.base import FOR_TOKENS, STACKS, Head, HeadSpec, doublings
from poserep.models.heads.sr import SRPredictor

MakePredictor = Callable[[int, int, int, int], nn.Module]


class SRPose(Head):
    """Coarse-to-fine fusion with super-resolution supervision at every level (Wang et al. 2023, SRPose, section 3.3).

    The coarsest map gives a low-resolution heatmap, which is supervised lightly and fed back. Emits in training a tuple
    of heatmaps from coarse to fine: the low-resolution one, one for every supervised level but the last (at
    ``mid_stride``), and the finest, at the codec's resolution; otherwise the finest alone.

    Args:
        mid_stride: Stride of the heatmaps that are there for supervision only.
        supervise: Whether each level, coarse to fine, has a predictor (table 4: M5, M4, M3, M2); the last always has.
        widths: Channels of the neck's maps, coarse to fine.
        blocks: Convolution blocks at every level but the coarsest.
        side: Makes the predictors of all levels but the last, as ``side(channels, K, factor, level)``.
        main: Makes the predictor of the last level.
    """

    multiscale = True

    def __init__(
        self,
        spec: HeadSpec,
        mid_stride: float = 4,
        supervise: Sequence[bool] = (True, True, True, True),
        widths: Sequence[int] = (256, 128, 64, 32),
        blocks: int = 2,
        side: MakePredictor = SRPredictor,
        main: MakePredictor = SRPredictor,
    ) -> None:
        super().__init__()
        levels, num_keypoints = len(spec.strides), spec.num_keypoints
        _check(spec, supervise, widths)
        inputs, scales = spec.channels[::-1], spec.strides[::-1]
        self.strides = scales
        self.lr_head = nn.Sequential(nn.Conv2d(inputs[0], num_keypoints, 1), nn.ReLU(inplace=True))
        self.lr_fuse = nn.Sequential(nn.Conv2d(num_keypoints, widths[0], 1), nn.ReLU(inplace=True))
        self.pre_fuse = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 1), nn.BatchNorm2d(o), nn.ReLU(inplace=True))
            for i, o in zip(inputs, widths, strict=False)
        )
        steps = list(pairwise(widths[:levels]))
        self.pre_interpolate = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(i, i, 3, padding=1, groups=i), nn.Conv2d(i, o, 1), nn.BatchNorm2d(o), nn.ReLU(inplace=True)
            )
            for i, o in steps
        )
        self.fuse = nn.ModuleList(nn.Conv2d(2 * o, o, 1) for _, o in steps)
        self.post_fuse = nn.ModuleList(nn.Sequential(*(ConvBlock(o) for _ in range(blocks))) for _, o in steps)
        self.side = nn.ModuleDict()
        for i in (i for i in range(levels - 1) if supervise[i]):
            factor = 2 ** doublings(self, scales[i], mid_stride)
            self.side[str(i)] = side(widths[i], num_keypoints, factor, i - levels)
        # Neither run nor counted when poses are predicted.
        self.side.training_only = True  # type: ignore[assignment]
        self.main = main(widths[levels - 1], num_keypoints, 2 ** doublings(self, scales[-1], spec.stride), -1)
        shown = [scales[0], *[mid_stride] * len(self.side), spec.stride]
        self.form = f"maps of strides {', '.join(f'{stride:g}' for stride in shown)}"

    def forward(self, features: Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
        """Turn maps, fine to coarse, into heatmaps, see above."""
        maps = features[::-1]
        low = self.lr_head(maps[0])
        fused = [self.lr_fuse(low) + self.pre_fuse[0](maps[0])]
        for i, finer in enumerate(maps[1:]):
            up = F.interpolate(self.pre_interpolate[i](fused[-1]), finer.shape[-2:], mode="nearest")
            joined = self.fuse[i](torch.cat([up, self.pre_fuse[i + 1](finer)], 1))
            fused.append(self.post_fuse[i](joined))
        heatmap = self.main(fused[-1])
        if not self.training:
            return heatmap
        return (low, *(predictor(fused[int(i)]) for i, predictor in self.side.items()), heatmap)

    def official(self, key: str) -> str:
        """Return the own name of an entry of the published code, which lists predictors by part, then by level."""
        main = str(len(self.strides) - 1)

        def own(entry: re.Match[str]) -> str:
            return f"{'main' if entry['level'] == main else 'side.' + entry['level']}.{entry['part']}."

        return re.sub(r"^(?P<part>kp_encoder|converge)\.(?P<level>\d)\.(conv\.)?", own, key)


def _check(spec: HeadSpec, supervise: Sequence[bool], widths: Sequence[int]) -> None:
    """Raise an `InputError` unless there are maps of several resolutions, whose number the options suit."""
    levels = len(spec.strides)
    reads = "SRPose fuses maps of several resolutions, but the backbone"
    if not levels:
        raise InputError(f"{reads} gives keypoint tokens; {FOR_TOKENS}")
    if levels == 1:
        raise InputError(
            f"{reads} gives strides {list(spec.strides)}; take resnet50, hrnet_w32, hrformer_s or another that has "
            "coarser and finer maps, or representation=sr"
        )
    if len(set(spec.strides)) < levels:
        raise InputError(f"{reads} predicts in {levels} stacks of one; {STACKS}")
    if levels > len(widths) or len(supervise) != levels:
        raise InputError(
            f"SRPose: the backbone gives {levels} maps, for which widths={list(widths)} and "
            f"supervise={list(supervise)} must have {levels} entries: representation.codec.supervise=[true, ...], "
            "representation.codec.lr_stride the coarsest stride, +representation.head.widths=[...]"
        )


class ConvBlock(nn.Module):
    """ConvNeXt's block: depthwise convolution, then two pointwise layers, ``ratio`` times as wide in between."""

    def __init__(self, channels: int, kernel: int = 7, ratio: int = 4) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.BatchNorm2d(channels)
        self.pwconv1 = nn.Linear(channels, ratio * channels)
        self.pwconv2 = nn.Linear(ratio * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape (B, channels, h, w)."""
        inner = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        return x + self.pwconv2(F.gelu(self.pwconv1(inner))).permute(0, 3, 1, 2)
