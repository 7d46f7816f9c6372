"""The networks of the study that reproduces DARK on HUMAN4D's depth images, as its code (moai) builds them.

Both start as PyTorch leaves them and have no published weights. Their units differ from the usual ones in what the
comments name; each difference is in the published numbers.
"""

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poserep.models.backbones.hourglass import SCORE_STRIDE, Levels, check_stacks

Norm = Callable[[int], nn.Module]


def relu_norm(channels: int) -> nn.Module:
    """Return ReLU, then batch norm: the hourglass's order."""
    return nn.Sequential(nn.ReLU(inplace=True), nn.BatchNorm2d(channels))


def norm_relu(channels: int) -> nn.Module:
    """Return batch norm, then ReLU: HRNet's order."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class MoaiHourglass(nn.Module):
    """``SH_4S``: four hourglasses of depth 2 with 128 features (6,201,032 parameters with 18 joints, one channel).

    Its maps are the score maps of all stacks, as logits. The next stack reads their sigmoid, which is also the study's
    heatmap (`StackedMaps` with ``sigmoid`` and ``last_only``). For the options see `Hourglass`.
    """

    multiple = SCORE_STRIDE

    def __init__(
        self,
        num_keypoints: int,
        stacks: int = 4,
        features: int = 128,
        depth: int = 2,
        in_channels: int = 3,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        check_stacks("MoaiHourglass", stacks, features, depth, size)
        quarter, half = features // 4, features // 2
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, quarter, 7, stride=2, padding=3),
            relu_norm(quarter),
            MoaiUnit(quarter, half, half, relu_norm),
            nn.MaxPool2d(2),
            MoaiUnit(half, half, half, relu_norm),
            MoaiUnit(half, features, features, relu_norm),
        )
        self.levels = nn.ModuleList(
            Levels(lambda: PreActivatedUnit(features), depth, "bilinear") for _ in range(stacks)
        )
        self.feature = nn.ModuleList(
            nn.Sequential(
                MoaiUnit(features, features, features, relu_norm),
                nn.Conv2d(features, features, 1),
                nn.ReLU(inplace=True),
            )
            for _ in range(stacks)
        )
        self.score = nn.ModuleList(nn.Conv2d(features, num_keypoints, 1) for _ in range(stacks))
        self.merge_feature = nn.ModuleList(nn.Conv2d(features, features, 1, bias=False) for _ in range(stacks - 1))
        self.merge_score = nn.ModuleList(nn.Conv2d(num_keypoints, features, 1, bias=False) for _ in range(stacks - 1))
        self.channels: tuple[int, ...] = (num_keypoints,) * stacks
        self.strides: tuple[int, ...] = (SCORE_STRIDE,) * stacks

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Turn normalised images (B, C, H, W) into logits (B, K, H / 4, W / 4), first stack to last."""
        x = self.stem(image)
        logits: list[Tensor] = []
        for i, score in enumerate(self.score):
            # The first ReLU inside a hourglass works in place, so the sum below sees what it leaves.
            x = F.relu(x)
            feature = self.feature[i](self.levels[i](x))
            logits.append(score(feature))
            if i < len(self.merge_score):
                x = x + self.merge_score[i](logits[-1].sigmoid()) + self.merge_feature[i](feature)
        return tuple(logits)


class MoaiHRNet(nn.Module):
    """``HRNet_4S``: four branches, one module per stage (7,095,968 parameters with one channel, without the head).

    timm's HRNet cannot become it: units have 128 channels inside whatever their branch, normalise the sum and not the
    skip, upsampled branches are interpolated linearly and not normalised, and convolutions outside of stages have
    biases. The study's code has 769,472 more, in fusions of the last stage that nothing reads.

    Args:
        width: Channels of the finest branch; each coarser one has twice as many.
        in_turn: Fuse one branch after the other, each reading the finer ones already fused, as the study's code does;
            false fuses all at once, as HRNet does.
    """

    multiple = 32

    def __init__(self, width: int = 32, in_turn: bool = True, in_channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_norm_relu(in_channels, 32, 2),
            conv_norm_relu(32, 64, 2),
            MoaiUnit(64, 256, 64, norm_relu),
            MoaiUnit(256, 256, 64, norm_relu),
        )
        self.first = nn.ModuleList([conv_norm_relu(256, width, 1), conv_norm_relu(256, 2 * width, 2)])
        self.stages = nn.ModuleList(
            # Of the last fusion only the finest branch is read: the others would be parameters without gradient.
            Exchange(branches, branches if branches < 4 else 1, width, in_turn)
            for branches in (2, 3, 4)
        )
        self.coarser = nn.ModuleList(conv_norm_relu(2**i * width, 2 ** (i + 1) * width, 2) for i in (1, 2))
        self.channels: tuple[int, ...] = (width,)
        self.strides: tuple[int, ...] = (SCORE_STRIDE,)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Turn normalised images (B, C, H, W) into one map (B, width, H / 4, W / 4)."""
        x = self.stem(image)
        maps: Sequence[Tensor] = [layer(x) for layer in self.first]
        for stage, coarser in zip(self.stages, self.coarser, strict=False):
            maps = stage(maps)
            maps = [*maps, coarser(maps[-1])]
        return tuple(self.stages[-1](maps))


class Exchange(nn.Module):
    """Four units on every branch, then a fusion of all branches into each of the ``outputs`` finest ones."""

    def __init__(self, branches: int, outputs: int, width: int, in_turn: bool) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(branches)]
        self.in_turn = in_turn
        self.branches = nn.ModuleList(
            nn.Sequential(*(MoaiUnit(w, w, 128, norm_relu, bias=False) for _ in range(4))) for w in widths
        )
        self.fuse = nn.ModuleList(
            nn.ModuleList(resampling_link(widths, source, target) for source in range(branches))
            for target in range(outputs)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Turn the branches' maps, fine to coarse, into as many as there are outputs."""
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = list(maps)
        for i, row in enumerate(self.fuse):
            read = zip(row, fused if self.in_turn else maps, strict=True)  # type: ignore[call-overload]
            fused[i] = F.relu(reduce(torch.add, (layer(x) for layer, x in read)))
        return fused[: len(self.fuse)]


class MoaiUnit(nn.Module):
    """Bottleneck whose skip is not normalised but whose sum is; the 3x3 convolution may have a bias."""

    def __init__(self, inputs: int, outputs: int, inner: int, norm: Norm, bias: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            norm(inner),
            nn.Conv2d(inner, inner, 3, padding=1, bias=bias),
            norm(inner),
            nn.Conv2d(inner, outputs, 1, bias=False),
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Turn a map (B, inputs, h, w) into (B, outputs, h, w)."""
        return self.norm(self.skip(x) + self.body(x))


class PreActivatedUnit(nn.Module):
    """Bottleneck activated before each convolution, as wide inside as outside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels, 1, bias=False),
            relu_norm(channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            relu_norm(channels),
            nn.Conv2d(channels, channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape (B, channels, h, w)."""
        # The first ReLU works in place there, so the skip passes through it too.
        x = F.relu(x)
        return x + self.body(x)


def conv_norm_relu(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return a 3x3 convolution with a bias, batch norm and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), norm_relu(outputs))


def resampling_link(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """Return layers from one branch to the resolution and the channels of another."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(widths[source], widths[target], 1, bias=False),
            nn.Upsample(scale_factor=2 ** (source - target), mode="bilinear"),
        )
    layers: list[nn.Module] = []
    for outputs in (*[widths[source]] * (target - source - 1), widths[target]):
        convolution = nn.Conv2d(widths[source], outputs, 3, stride=2, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])
