"""HRFormer (Yuan et al. 2021): HRNet's branches and fusions with transformer blocks in place of convolutional ones."""

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import islice
from typing import Any

import torch
from timm.models.resnet import Bottleneck
from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.backbones.hrformer_block import HRFormerBlock

STEM = 64
# Modules of the stages with two, three and four branches, and blocks on each branch of a module.
MODULES = (1, 4, 2)
BLOCKS = 2


class HRFormer(nn.Module):
    """HRFormer for poses: S by default; B has width 78, 2 heads and a drop path of 0.2 (0.3 at 384x288).

    The published counts hold the tables of position biases whether or not these are added (20,618 elements in S, twice
    as many in B, of 44 tables). Biases of the keys have no gradient, since a softmax ignores them.

    Args:
        width, num_heads: Channels and attention heads of the finest branch; both double from branch to branch.
        drop_path: Probability that a sample skips a part of the last block in training, growing linearly from 0.
        position_bias: Add biases by relative position to the logits; false is the published pose code, which does not.
            The tables are frozen then.
        multiscale: Give all four branches (7.89M parameters in S) instead of the finest alone (7.75M).
        init: The pose code takes `small_normal`. Tables of position biases always start from N(0, 0.02), truncated.
    """

    multiple = 32

    def __init__(
        self,
        width: int = 32,
        num_heads: int = 1,
        drop_path: float = 0.1,
        position_bias: bool = True,
        multiscale: bool = False,
        in_channels: int = 3,
        init: Callable[[nn.Module], None] | None = None,
    ) -> None:
        super().__init__()
        if num_heads < 1 or width < 1 or width % num_heads or not 0 <= drop_path < 1:
            raise InputError(
                f"backbone HRFormer: width={width} must be a multiple of num_heads={num_heads}, and "
                f"drop_path={drop_path} lie in [0, 1); S is 32, 1 and 0.1, B 78, 2 and 0.2"
            )
        self.conv1 = nn.Conv2d(in_channels, STEM, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.conv2 = nn.Conv2d(STEM, STEM, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU()
        inner = Bottleneck.expansion * STEM
        widen = nn.Sequential(nn.Conv2d(STEM, inner, 1, bias=False), nn.BatchNorm2d(inner))
        self.layer1 = nn.Sequential(Bottleneck(STEM, STEM, downsample=widen), Bottleneck(inner, STEM))
        branches = [width * 2**i for i in range(4)]
        rates = iter(torch.linspace(0, drop_path, BLOCKS * sum(MODULES), device="cpu").tolist())

        def stage(n: int, modules: int) -> nn.Sequential:
            each = (list(islice(rates, BLOCKS)) for _ in range(modules))
            return nn.Sequential(*(HRFormerModule(branches[:n], num_heads, r, position_bias) for r in each))

        self.transition1 = nn.ModuleList(
            [narrow(inner, width, stride=1), nn.Sequential(narrow(inner, branches[1], stride=2))]
        )
        self.stage2 = stage(2, MODULES[0])
        self.transition2 = transition(branches[:3])
        self.stage3 = stage(3, MODULES[1])
        self.transition3 = transition(branches)
        self.stage4 = stage(4, MODULES[2])
        given = 4 if multiscale else 1
        # Fusions that nothing reads would be parameters without gradient, which distributed training refuses.
        last: Any = self.stage4[-1]
        last.fuse_layers = last.fuse_layers[:given]
        self.channels: tuple[int, ...] = tuple(branches[:given])
        self.strides: tuple[int, ...] = (4, 8, 16, 32)[:given]
        if init:
            init(self)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Turn normalised images (B, C, H, W) into maps (B, channels[i], H / strides[i], W / strides[i])."""
        x = self.relu(self.bn1(self.conv1(image)))
        x = self.relu(self.bn2(self.conv2(x)))
        maps = [self.layer1(x)]
        stages = (self.stage2, self.stage3, self.stage4)
        for steps, stage in zip((self.transition1, self.transition2, self.transition3), stages, strict=True):
            maps = stage([step(maps[min(i, len(maps) - 1)]) for i, step in enumerate(steps)])
        return tuple(maps)


class HRFormerModule(nn.Module):
    """Transformer blocks on every branch, fine to coarse, then a fusion of all branches into each.

    ``heads`` are those of the finest branch, ``rates`` the drop path of a branch's blocks.
    """

    def __init__(self, channels: Sequence[int], heads: int, rates: Sequence[float], position_bias: bool) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.branches = nn.ModuleList(
            nn.Sequential(*(HRFormerBlock(c, heads * 2**i, rate, position_bias) for rate in rates))
            for i, c in enumerate(channels)
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(resample(channels[j], channels[i], i - j) for j in range(len(channels)))
            for i in range(len(channels))
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Turn the branches' maps, fine to coarse, into the fused ones."""
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        rows: Any = self.fuse_layers
        return [self.relu(reduce(torch.add, [step(x) for step, x in zip(row, maps, strict=True)])) for row in rows]


def resample(inputs: int, outputs: int, halvings: int) -> nn.Module:
    """Return layers from one branch to another: bilinear upsampling, or depthwise convolutions of stride 2."""
    if halvings == 0:
        return nn.Identity()
    if halvings < 0:
        upsample = nn.Upsample(scale_factor=2**-halvings, mode="bilinear", align_corners=False)
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), upsample)
    steps = [
        nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, stride=2, padding=1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, target, 1, bias=False),
            nn.BatchNorm2d(target),
            nn.ReLU(),
        )
        for target in (*[inputs] * (halvings - 1), outputs)
    ]
    return nn.Sequential(*steps[:-1], steps[-1][:-1])


def transition(channels: Sequence[int]) -> nn.ModuleList:
    """Return layers that keep the branches and make one more from the coarsest."""
    kept = [nn.Identity() for _ in channels[:-1]]
    return nn.ModuleList([*kept, nn.Sequential(narrow(channels[-2], channels[-1], stride=2))])


def narrow(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return a 3x3 convolution, batch norm and ReLU."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
