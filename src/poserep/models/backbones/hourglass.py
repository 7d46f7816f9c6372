"""The stacked hourglass (Newell et al. 2016) in the form of DARK's code: each stack predicts, the next one refines."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from poserep.errors import InputError

SCORE_STRIDE = 4


class Hourglass(nn.Module):
    """Stacked hourglass of DARK (Zhang et al. 2020); its maps are the score maps of all stacks.

    Every stack gives one score map per joint at stride 4, which the heads `StackedMaps` and `StackedAxes` read. With 17
    joints and 256 features 4 stacks have 13,020,612 parameters and 8 have 25,598,472 (printed as 25.1M). Weights start
    as PyTorch leaves them. DARK's code brings the deepest map to 4x3, which only suits inputs of 128x96; here it gets
    the size of the map that it is added to.

    There are ``features`` channels between the ``stacks``, a multiple of 4, and each halves its map ``depth`` times.
    ``size`` is only checked.
    """

    multiple = SCORE_STRIDE

    def __init__(
        self,
        num_keypoints: int,
        stacks: int = 4,
        features: int = 256,
        depth: int = 4,
        in_channels: int = 3,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        check_stacks("Hourglass", stacks, features, depth, size)
        narrow, joints = features // 4, num_keypoints
        # Parts have the names of DARK's code, so that its checkpoints fit as they are.
        self.conv1 = nn.Conv2d(in_channels, narrow, 7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(2)
        self.layer1 = nn.Sequential(Bottleneck(narrow, features // 2))
        self.layer2 = nn.Sequential(Bottleneck(features // 2, features))
        self.layer3 = nn.Sequential(Bottleneck(features, features))
        self.hg = nn.ModuleList(Levels(lambda: Bottleneck(features, features), depth) for _ in range(stacks))
        self.res = nn.ModuleList(nn.Sequential(Bottleneck(features, features)) for _ in range(stacks))
        self.fc = nn.ModuleList(
            nn.Sequential(nn.Conv2d(features, features, 1), nn.BatchNorm2d(features), nn.ReLU(inplace=True))
            for _ in range(stacks)
        )
        self.score = nn.ModuleList(nn.Conv2d(features, joints, 1) for _ in range(stacks))
        self.fc_ = nn.ModuleList(nn.Conv2d(features, features, 1) for _ in range(stacks - 1))
        self.score_ = nn.ModuleList(nn.Conv2d(joints, features, 1) for _ in range(stacks - 1))
        self.channels: tuple[int, ...] = (joints,) * stacks
        self.strides: tuple[int, ...] = (SCORE_STRIDE,) * stacks

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Turn normalised images (B, C, H, W) into score maps (B, K, H / 4, W / 4), first stack to last."""
        x = self.layer1(self.relu(self.bn1(self.conv1(image))))
        x = self.layer3(self.layer2(self.maxpool(x)))
        scores: list[Tensor] = []
        for i, score in enumerate(self.score):
            feature = self.fc[i](self.res[i](self.hg[i](x)))
            scores.append(score(feature))
            if i < len(self.fc_):
                x = x + self.fc_[i](feature) + self.score_[i](scores[-1])
        return tuple(scores)


class Levels(nn.Module):
    """One hourglass of ``block`` after ``block``: down and up again (by ``mode``), a skip at every resolution."""

    def __init__(self, block: Callable[[], nn.Module], depth: int, mode: str = "nearest") -> None:
        super().__init__()
        self.upsample = Fit(mode=mode)
        # From coarse to fine: the blocks of skip, way down and way up, and in the coarsest level the turning point.
        self.hg = nn.ModuleList(
            nn.ModuleList(nn.Sequential(block()) for _ in range(3 if level else 4)) for level in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape (B, C, h, w)."""
        return self._pass(len(self.hg) - 1, x)

    def _pass(self, level: int, x: Tensor) -> Tensor:
        blocks: Any = self.hg[level]
        skip, down, up, *turn = blocks
        low = down(F.max_pool2d(x, 2))
        low = up(turn[0](low) if turn else self._pass(level - 1, low))
        return skip(x) + self.upsample(low, x)


class Fit(nn.Upsample):
    """Interpolation to the size of another map; a layer, so that tools which count layers see it."""

    def forward(self, x: Tensor, like: Tensor) -> Tensor:  # type: ignore[override]
        """Return a map (B, C, h, w) of the height and width of ``like``."""
        return F.interpolate(x, size=like.shape[-2:], mode=self.mode)


class Bottleneck(nn.Module):
    """Residual block, activated before each convolution (He et al. 2016); half as many channels inside as it gives."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        inner = outputs // 2
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, inner, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(inner), nn.Conv2d(inner, inner, 3, padding=1)
        self.bn3, self.conv3 = nn.BatchNorm2d(inner), nn.Conv2d(inner, outputs, 1)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Sequential() if inputs == outputs else nn.Sequential(nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Turn a map (B, inputs, h, w) into (B, outputs, h, w)."""
        y = self.conv1(self.relu(self.bn1(x)))
        y = self.conv2(self.relu(self.bn2(y)))
        return self.conv3(self.relu(self.bn3(y))) + self.downsample(x)


def check_stacks(name: str, stacks: int, features: int, depth: int, size: tuple[int, int] | None) -> None:
    """Raise an `InputError` unless the options of a stacked hourglass suit each other and the size of its input."""
    if features < 4 or features % 4:
        raise InputError(f"backbone {name}: features={features} must be a multiple of 4")
    if stacks < 1 or depth < 1:
        raise InputError(f"backbone {name}: stacks={stacks} and depth={depth} must be at least 1")
    least = SCORE_STRIDE * 2**depth
    if size is not None and min(size) < least:
        raise InputError(
            f"backbone {name} halves its maps {depth} times below stride {SCORE_STRIDE}, for which an input of "
            f"{size[0]}x{size[1]} is too small: both sides must have at least {least} px"
        )
