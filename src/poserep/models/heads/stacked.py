"""Heads of stacked networks, whose backbone predicts score maps already: one per joint in every stack."""

from collections.abc import Sequence

from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.heads.base import AxisLike, Head, Stacks


class StackedMaps(Head):
    """The score maps themselves, (B, K, y.n, x.n); no parameters. Stands in place of `Deconv`.

    Args:
        channels: Of the backbone's maps: K each.
        strides: Of the backbone's maps: all equal.
        num_keypoints: K.
        x: The codec's horizontal axis.
        y: The codec's vertical axis.
        last_only: Emit the last stack in training too, so that the others are not supervised, as the HUMAN4D study
            does.
        sigmoid: Squeeze the maps into (0, 1), as the HUMAN4D study does.

    Raises:
        InputError: If the backbone's maps are no score maps, or the codec's bins not theirs.
    """

    form = "map"

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        num_keypoints: int,
        x: AxisLike,
        y: AxisLike,
        last_only: bool = False,
        sigmoid: bool = False,
    ) -> None:
        super().__init__()
        stride = _stride("StackedMaps", channels, strides, num_keypoints)
        if (x.n * stride, y.n * stride) != (x.length, y.length):
            raise InputError(
                f"StackedMaps: the backbone's score maps have stride {stride}, the codec's heatmap has stride "
                f"{x.length / x.n:g}; take representation.codec.stride={stride}, or another backbone"
            )
        self.last_only, self.sigmoid = last_only, sigmoid

    def forward(self, features: Sequence[Tensor]) -> Tensor | Stacks:
        """Score maps of all stacks to heatmaps."""
        if not self.training or self.last_only:
            return self._squeeze(features[-1])
        return Stacks(self._squeeze(maps) for maps in features)

    def _squeeze(self, maps: Tensor) -> Tensor:
        return maps.sigmoid() if self.sigmoid else maps


class StackedAxes(Head):
    """SimCC on every stack: two linear classifiers on the flattened score maps, shared by all joints.

    Emits logits (B, K, x.n) and (B, K, y.n). Stands in place of `AxisLinear`. No paper pairs the two; each stack has
    classifiers of its own, of which only the last stack's count as parameters of the prediction.

    Args:
        channels: Of the backbone's maps: K each.
        strides: Of the backbone's maps: all equal.
        num_keypoints: K.
        x: The codec's horizontal axis.
        y: The codec's vertical axis.
        last_only: Classify the last stack alone, so that the others are not supervised.

    Raises:
        InputError: If the backbone's maps are no score maps.
    """

    form = "axes"

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        num_keypoints: int,
        x: AxisLike,
        y: AxisLike,
        last_only: bool = False,
    ) -> None:
        super().__init__()
        stride = _stride("StackedAxes", channels, strides, num_keypoints)
        features = (x.length // stride) * (y.length // stride)
        stacks = 1 if last_only else len(channels)
        self.mlp_head_x = nn.ModuleList(nn.Linear(features, x.n) for _ in range(stacks))
        self.mlp_head_y = nn.ModuleList(nn.Linear(features, y.n) for _ in range(stacks))
        for extra in (*self.mlp_head_x[:-1], *self.mlp_head_y[:-1]):
            extra.training_only = True

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor] | Stacks:
        """Score maps of all stacks to logits."""
        if not self.training or len(self.mlp_head_x) < len(features):
            return self._classify(-1, features[-1])
        return Stacks(self._classify(i, maps) for i, maps in enumerate(features))

    def _classify(self, i: int, maps: Tensor) -> tuple[Tensor, Tensor]:
        joints = maps.flatten(2)
        return self.mlp_head_x[i](joints), self.mlp_head_y[i](joints)


def _stride(head: str, channels: Sequence[int], strides: Sequence[int], num_keypoints: int) -> int:
    """Of score maps.

    Raises:
        InputError: If the maps are something else.
    """
    if len(set(strides)) != 1 or set(channels) != {num_keypoints}:
        given = f"{list(channels)} channels at strides {list(strides)}" if strides else "keypoint tokens"
        raise InputError(
            f"{head} reads the score maps of a stacked network, {num_keypoints} channels at one stride, but the "
            f"backbone gives {given}; take a backbone such as hg4, or the representation's own head"
        )
    return strides[0]
