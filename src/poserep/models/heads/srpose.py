"""SRPose: a neck that fuses maps of several resolutions, and a predictor on each."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poserep.errors import InputError
from poserep.models.heads.base import STACKS, TOKENS, AxisLike, Head, doublings
from poserep.models.heads.predictors import SRPredictor

MakePredictor = Callable[[int, int, int, int], nn.Module]


class SRPose(Head):
    """Coarse-to-fine fusion with super-resolution supervision at every level (Wang et al. 2023, SRPose, section 3.3).

    The coarsest map gives a low-resolution heatmap, which is supervised lightly and fed back. In training, a tuple of
    heatmaps from coarse to fine: the low-resolution one, one for every supervised level but the last (at
    ``mid_stride``), and the finest, at the codec's resolution. Otherwise only the finest, for which the other
    predictors are not run.

    Args:
        channels: Of the backbone's maps, at least two.
        strides: Of the backbone's maps.
        num_keypoints: K.
        x: The codec's horizontal axis.
        y: The codec's vertical axis.
        mid_stride: Stride of the heatmaps that are there for supervision only.
        supervise: Levels, coarse to fine, that have a predictor (table 4: M5, M4, M3, M2); the last always has.
        widths: Channels of the neck's maps, coarse to fine.
        blocks: Convolution blocks at every level but the coarsest.
        side: Makes the predictors of all levels but the last, as ``side(channels, K, factor, level)``.
        main: Makes the predictor of the last level.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        num_keypoints: int,
        x: AxisLike,
        y: AxisLike,
        mid_stride: float = 4,
        supervise: Sequence[bool] = (True, True, True, True),
        widths: Sequence[int] = (256, 128, 64, 32),
        blocks: int = 2,
        side: MakePredictor = SRPredictor,
        main: MakePredictor = SRPredictor,
    ) -> None:
        super().__init__()
        levels = len(channels)
        if not strides:
            raise InputError(
                f"SRPose fuses maps of several resolutions, but the backbone gives keypoint tokens; {TOKENS}"
            )
        if levels < 2:
            raise InputError(
                f"SRPose fuses maps of several resolutions, but the backbone gives strides {list(strides)}; take one "
                "whose name ends in _pyramid, or representation=sr"
            )
        if len(set(strides)) < levels:
            raise InputError(
                f"SRPose fuses maps of several resolutions, but the backbone predicts in {levels} stacks of one; "
                f"{STACKS}"
            )
        if levels > len(widths) or len(supervise) != levels:
            raise InputError(
                f"SRPose: the backbone gives {levels} maps, for which widths={list(widths)} and "
                f"supervise={list(supervise)} must have {levels} entries: representation.codec.supervise=[true, ...], "
                "representation.codec.lr_stride the coarsest stride, +representation.head.widths=[...]"
            )
        if not supervise[-1]:
            raise InputError("SRPose: the last entry of supervise is the prediction itself and must be true")
        inputs, scales = list(reversed(channels)), list(reversed(strides))
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
        self.side = nn.ModuleDict(
            {
                str(i): side(widths[i], num_keypoints, 2 ** doublings("SRPose", scales[i], mid_stride), i - levels)
                for i in range(levels - 1)
                if supervise[i]
            }
        )
        # Neither run nor counted when poses are predicted.
        self.side.training_only = True  # type: ignore[assignment]
        stride = x.length / x.n
        self.main = main(widths[levels - 1], num_keypoints, 2 ** doublings("SRPose", scales[-1], stride), -1)
        self.form = pyramid([scales[0], *[mid_stride] * len(self.side), stride])

    def forward(self, features: Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
        """Maps, fine to coarse, to heatmaps, see above."""
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
        """Own name of an entry of the published code, which lists all levels' encoders, then all their convolutions."""
        found = LEVEL.fullmatch(key)
        if not found:
            return key
        level = int(found["level"])
        part = "main" if level == len(self.strides) - 1 else f"side.{level}"
        rest = f"{found['index']}." if found["list"] == "kp_encoder" else ""
        return f"{part}.{found['list']}.{rest}{found['kind']}"


LEVEL = re.compile(
    r"(?P<list>kp_encoder|converge)\.(?P<level>\d)\.(?P<index>0|conv)\.(?P<kind>weight|bias)",
)


class ConvBlock(nn.Module):
    """Large depthwise convolution, then a pointwise bottleneck turned inside out, around a shortcut (ConvNeXt's).

    Args:
        channels: In and out.
        kernel: Of the depthwise convolution.
        ratio: How much wider the bottleneck is.
    """

    def __init__(self, channels: int, kernel: int = 7, ratio: int = 4) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.BatchNorm2d(channels)
        self.pwconv1 = nn.Linear(channels, ratio * channels)
        self.pwconv2 = nn.Linear(ratio * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) to the same."""
        inner = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        return x + self.pwconv2(F.gelu(self.pwconv1(inner))).permute(0, 3, 1, 2)


def pyramid(strides: Sequence[float]) -> str:
    """The form of an output of several maps, told by their strides in input px, coarse to fine."""
    return f"maps of strides {', '.join(f'{stride:g}' for stride in strides)}"
