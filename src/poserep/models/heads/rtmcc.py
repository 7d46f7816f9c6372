"""RTMPose's head (Jiang et al. 2023): the joints' vectors attend to each other before both axes are classified."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from poserep.errors import InputError, check_odd
from poserep.models.heads.base import Head, HeadSpec
from poserep.models.init import small_normal


class RTMCC(Head):
    """A large-kernel convolution to a map per joint, a vector of each map, gated attention, two classifiers.

    Emits logits (B, K, x.n) and (B, K, y.n). Reads one map of any stride (32 in RTMPose): the map is flattened, so that
    a backbone of stride 4 has 64 times the inputs of one of stride 32 in the layer after it. With 17 joints at 256x192
    and 2 bins per px it has 988,307, 1,094,931 and 1,308,179 parameters on CSPNeXt-t, -s and -m. Starts as mmpose's:
    convolutions ~ N(0, 0.001), linear layers ~ N(0, 0.01).

    Args:
        kernel: Side of the convolution's kernel, odd.
        width: Of the joints' vectors.
        attention: Width of queries and keys.
        expansion: Width of gates and values, by ``width``.
    """

    form = "axes"

    def __init__(
        self, spec: HeadSpec, kernel: int = 7, width: int = 256, attention: int = 128, expansion: int = 2
    ) -> None:
        super().__init__()
        check_odd("RTMCC: kernel", kernel)
        if min(width, attention, expansion) < 1:
            raise InputError(
                f"RTMCC: width={width}, attention={attention} and expansion={expansion} must be at least 1"
            )
        channels, stride = spec.one_map(self)
        positions = (spec.x.length // stride) * (spec.y.length // stride)
        # Parts have the names of mmpose's, so that its checkpoints fit as they are.
        self.final_layer = nn.Conv2d(channels, spec.num_keypoints, kernel, padding=kernel // 2)
        self.mlp = nn.Sequential(ScaleNorm(), nn.Linear(positions, width, bias=False))
        self.gau = GatedAttention(width, attention, expansion)
        self.cls_x = nn.Linear(width, spec.x.n, bias=False)
        self.cls_y = nn.Linear(width, spec.y.n, bias=False)
        small_normal(self)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Turn the map into logits."""
        joints = self.gau(self.mlp(self.final_layer(features[-1]).flatten(2)))
        return self.cls_x(joints), self.cls_y(joints)


class GatedAttention(nn.Module):
    """Gated attention unit (Hua et al. 2022, section 3) without positions: attention is relu(q k^T / sqrt(s))^2.

    Squares of attention are not divided by the number of vectors, unlike in its paper, so that its share grows with the
    number of joints; so in mmpose.
    """

    def __init__(self, width: int, attention: int, expansion: int) -> None:
        super().__init__()
        self.sizes = (width * expansion, width * expansion, attention)
        self.ln, self.res_scale = ScaleNorm(), Scale(width)
        self.uv = nn.Linear(width, sum(self.sizes), bias=False)
        # Scales and shifts that make queries and keys of one vector.
        self.gamma, self.beta = nn.Parameter(torch.rand(2, attention)), nn.Parameter(torch.rand(2, attention))
        self.o = nn.Linear(self.sizes[0], width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Turn vectors (B, K, width) into vectors of the same shape."""
        gate, value, base = nn.functional.silu(self.uv(self.ln(x))).split(self.sizes, -1)
        query, key = (base[..., None, :] * self.gamma + self.beta).unbind(-2)
        weight = (query @ key.transpose(-2, -1) / self.sizes[2] ** 0.5).relu().square()
        return self.res_scale(x) + self.o(gate * (weight @ value))


class ScaleNorm(nn.Module):
    """Divides vectors (..., D) by their root mean square, of at least ``eps``, and multiplies them by one number."""

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return vectors of the same shape."""
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True) / x.shape[-1] ** 0.5
        return x / size.clamp_min(self.eps) * self.g


class Scale(nn.Module):
    """Multiplies each of D features by a number that is learnt."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., D) scaled."""
        return x * self.scale
