"""Heads on keypoint tokens: every joint's output comes from its own token, by layers that all joints share."""

from collections.abc import Sequence

from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.heads.base import Head, HeadSpec
from poserep.models.init import truncated_normal


class TokenMaps(Head):
    """TokenPose's own head (Li et al. 2021, TokenPose, section 3.2): layer norm and linear layer to a whole heatmap.

    Emits (B, K, y.n, x.n). Starts from a truncated normal, as published.

    ``hidden`` is the width of a layer norm and linear layer in between, 0 for none. None takes the published rule: an
    eighth of the map's positions if that is at least twice the tokens' width, else none. At 256x192 S and B have 384;
    smaller maps and L have none.
    """

    form = "map"

    def __init__(self, spec: HeadSpec, hidden: int | None = None) -> None:
        super().__init__()
        inputs, outputs = spec.tokens(self), spec.x.n * spec.y.n
        if hidden is None:
            hidden = outputs // 8 if outputs // 8 >= 2 * inputs else 0
        if hidden < 0:
            raise InputError(f"TokenMaps: hidden={hidden} must be at least 0, or null for the published rule")
        self.shape = (spec.y.n, spec.x.n)
        layers: list[nn.Module] = []
        if hidden:
            layers += [nn.LayerNorm(inputs), nn.Linear(inputs, hidden)]
        self.mlp_head = nn.Sequential(*layers, nn.LayerNorm(hidden or inputs), nn.Linear(hidden or inputs, outputs))
        truncated_normal(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Turn tokens into heatmaps."""
        return self.mlp_head(features[0]).unflatten(-1, self.shape)

    def official(self, key: str) -> str | None:
        """Return the own name of an entry of the published code, which has its head inside the transformer."""
        _, name, rest = key.partition("mlp_head.")
        return name + rest if name else None


class TokenAxes(Head):
    """SimCC on keypoint tokens (Li et al. 2022, SimCC, table 1): one linear layer per axis.

    Emits logits (B, K, x.n) and (B, K, y.n).

    Its code was not published. The paper says that linear layers take the place of TokenPose's head. Its printed
    parameters of TokenPose-S, 4.9, 5.1 and 5.5M at 64x64, 128x128 and 256x192, are reached with 2 bins per px: 4.87,
    5.07 and 5.54M, or with the table of positions and cut off, 4.92, 5.12 and 5.58M. They fit with a layer norm in
    front (384 parameters) or without; it is there, because the transformer leaves its tokens unnormalised and every
    published head on them begins so.
    """

    form = "axes"

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        inputs = spec.tokens(self)
        self.norm = nn.LayerNorm(inputs)
        self.mlp_head_x = nn.Linear(inputs, spec.x.n)
        self.mlp_head_y = nn.Linear(inputs, spec.y.n)
        truncated_normal(self)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Turn tokens into logits."""
        tokens = self.norm(features[0])
        return self.mlp_head_x(tokens), self.mlp_head_y(tokens)
