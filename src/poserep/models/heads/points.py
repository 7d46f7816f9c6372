"""Regression heads: coordinates straight from a feature of the whole map or from each joint's own token."""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poserep.errors import check_choice
from poserep.models.heads.base import Head, HeadSpec

Scales = Literal["axis", "joint"]


class PointHead(Head):
    """Average pooling and one linear layer (Toshev & Szegedy 2014, DeepPose, on today's backbones).

    Emits (B, K, 2), in widths and heights of the crop, (0, 0) at its middle. The axes of ``spec`` are not used.
    """

    form = "points"
    reads_tokens: ClassVar[bool] = False

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        if self.reads_tokens:
            self.norm = nn.LayerNorm(spec.tokens(self))
            self.fc_coord = centred_linear(spec.channels[0], 2)
        else:
            self.fc_coord = centred_linear(spec.one_map(self)[0], spec.num_keypoints * 2)

    def forward(self, features: Sequence[Tensor]) -> Any:
        """Turn the map or the tokens into points."""
        return _grouped(self.fc_coord(self.read(features)))

    def read(self, features: Sequence[Tensor]) -> Tensor:
        """Return what the linear layers take: the pooled map (B, D), or the tokens (B, K, D)."""
        return self.norm(features[0]) if self.reads_tokens else features[-1].mean((-2, -1))


class RLEHead(PointHead):
    """`PointHead` with a scale for every coordinate and a normalising flow (Li et al. 2021, RLE).

    Emits (B, K, 2) points as `PointHead` does, (B, K, 2) scales in the same unit, in (0, 1), and in training the flow's
    log-density, from normalised errors (..., 2) to log-likelihoods (...), else None. For the flow's options see
    `RealNVP`. ``scales`` is whether each ``axis`` has its own scale (RLE), or both axes of a ``joint`` share one.
    """

    form = "points with scale"

    def __init__(self, spec: HeadSpec, couplings: int = 6, hidden: int = 64, scales: Scales = "axis") -> None:
        super().__init__(spec)
        check_choice(f"{type(self).__name__}: scales", scales, get_args(Scales))
        self.per_joint = 2 if scales == "axis" else 1
        self.fc_sigma = centred_linear(self.fc_coord.in_features, self.fc_coord.out_features // 2 * self.per_joint)
        self.flow = RealNVP(couplings, hidden)
        self.flow.training_only = True  # type: ignore[assignment]

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor] | None]:
        """Turn the map or the tokens into points with scales."""
        given = self.read(features)
        xy, sigma = _grouped(self.fc_coord(given)), _grouped(self.fc_sigma(given).float().sigmoid(), self.per_joint)
        return xy, sigma.expand_as(xy), self.flow.log_prob if self.training else None


class GaussianHead(PointHead):
    """`PointHead` with the Cholesky factor of a covariance for every joint (Kumar et al. 2020, LUVLi).

    Emits (B, K, 2) points as `PointHead` does, and (B, K, 3) entries xx, yx and yy of lower triangular factors in the
    same unit, those of the diagonal positive.
    """

    form = "points with covariance"

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__(spec)
        self.fc_factor = centred_linear(self.fc_coord.in_features, self.fc_coord.out_features // 2 * 3)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Turn the map or the tokens into points with factors."""
        given = self.read(features)
        xx, yx, yy = _grouped(self.fc_factor(given).float(), 3).unbind(-1)
        return _grouped(self.fc_coord(given)), torch.stack([F.softplus(xx), yx, F.softplus(yy)], -1)


class TokenPoints(PointHead):
    """Predicts each joint's point from its token: `PointHead` for keypoint tokens. No paper has it."""

    reads_tokens = True


class TokenRLE(RLEHead):
    """`TokenPoints` with a scale for every coordinate and a normalising flow: `RLEHead` for tokens. No paper has it."""

    reads_tokens = True


class TokenGaussian(GaussianHead):
    """`TokenPoints` with the Cholesky factor of a covariance: `GaussianHead` for tokens. No paper has it."""

    reads_tokens = True


class RealNVP(nn.Module):
    """A density on the plane: affine couplings over a standard normal (Dinh et al. 2017).

    The coordinate that is kept alternates; ``hidden`` are the channels of the two hidden layers of each scale and shift
    network.
    """

    def __init__(self, couplings: int = 6, hidden: int = 64) -> None:
        super().__init__()
        self.scale = nn.ModuleList(_mlp(hidden, nn.Tanh()) for _ in range(couplings))
        self.shift = nn.ModuleList(_mlp(hidden, nn.Identity()) for _ in range(couplings))
        mask = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(math.ceil(couplings / 2), 1)[:couplings]
        self.mask = nn.Buffer(mask, persistent=False)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log-density (...) of points (..., 2)."""
        log_det = torch.zeros_like(x[..., 0])
        for mask, scale, shift in zip(self.mask, self.scale, self.shift, strict=True):
            kept = x * mask
            s, t = scale(kept) * (1 - mask), shift(kept) * (1 - mask)
            x = kept + (1 - mask) * (x - t) * torch.exp(-s)
            log_det = log_det - s.sum(-1)
        return log_det - x.square().sum(-1) / 2 - math.log(2 * math.pi)


def centred_linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer that starts near 0, so that training starts with every joint at the middle of the crop."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight, gain=0.01)
    nn.init.zeros_(layer.bias)
    return layer


def _mlp(hidden: int, last: nn.Module) -> nn.Sequential:
    layers = nn.Sequential(
        nn.Linear(2, hidden), nn.LeakyReLU(), nn.Linear(hidden, hidden), nn.LeakyReLU(), nn.Linear(hidden, 2), last
    )
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, gain=0.01)
    return layers


def _grouped(values: Tensor, numbers: int = 2) -> Tensor:
    """Return (B, K, numbers) for (B, K numbers), or as it is."""
    return values.unflatten(-1, (-1, numbers)) if values.ndim == 2 else values
