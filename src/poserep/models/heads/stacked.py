"""Heads of stacked networks, whose backbone already predicts score maps: one per joint in every stack."""

from collections.abc import Sequence

from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.heads.base import Head, HeadSpec, Stacks


class StackedMaps(Head):
    """Emits the score maps themselves, (B, K, y.n, x.n); has no parameters. Stands in place of `Deconv`.

    The HUMAN4D study squeezes the maps into (0, 1) (``sigmoid``), and has only the last stack's in training too, so
    that the others are not supervised (``last_only``).
    """

    form = "map"

    def __init__(self, spec: HeadSpec, last_only: bool = False, sigmoid: bool = False) -> None:
        super().__init__()
        stride = spec.score_maps(self)
        if (spec.x.n * stride, spec.y.n * stride) != (spec.x.length, spec.y.length):
            raise InputError(
                f"StackedMaps: the backbone's score maps have stride {stride}, the codec's heatmap has stride "
                f"{spec.stride:g}; take representation.codec.stride={stride}, or another backbone"
            )
        self.last_only, self.sigmoid = last_only, sigmoid

    def forward(self, features: Sequence[Tensor]) -> Tensor | Stacks:
        """Turn the score maps of all stacks into heatmaps."""
        if not self.training or self.last_only:
            return self._squeeze(features[-1])
        return Stacks(self._squeeze(maps) for maps in features)

    def _squeeze(self, maps: Tensor) -> Tensor:
        return maps.sigmoid() if self.sigmoid else maps


class StackedAxes(Head):
    """SimCC on every stack: two linear classifiers on the flattened score maps, shared by all joints.

    Emits logits (B, K, x.n) and (B, K, y.n). Stands in place of `AxisLinear`. No paper pairs the two; each stack has
    classifiers of its own, of which only the last stack's count as parameters of the prediction. With ``last_only`` the
    last stack alone has some, so that the others are not supervised.
    """

    form = "axes"

    def __init__(self, spec: HeadSpec, last_only: bool = False) -> None:
        super().__init__()
        stride = spec.score_maps(self)
        features = (spec.x.length // stride) * (spec.y.length // stride)
        stacks = 1 if last_only else len(spec.channels)
        self.mlp_head_x = nn.ModuleList(nn.Linear(features, spec.x.n) for _ in range(stacks))
        self.mlp_head_y = nn.ModuleList(nn.Linear(features, spec.y.n) for _ in range(stacks))
        for extra in (*self.mlp_head_x[:-1], *self.mlp_head_y[:-1]):
            extra.training_only = True

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor] | Stacks:
        """Turn the score maps of all stacks into logits."""
        if not self.training or len(self.mlp_head_x) < len(features):
            return self._classify(-1, features[-1])
        return Stacks(self._classify(i, maps) for i, maps in enumerate(features))

    def _classify(self, i: int, maps: Tensor) -> tuple[Tensor, Tensor]:
        joints = maps.flatten(2)
        return self.mlp_head_x[i](joints), self.mlp_head_y[i](joints)
