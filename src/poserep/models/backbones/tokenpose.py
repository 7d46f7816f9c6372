"""TokenPose (Li et al. 2021): keypoint tokens that attend to patches of a convolutional map."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poserep.errors import InputError
from poserep.models.backbones.hrnet import HRNet
from poserep.models.backbones.transpose import sine_table
from poserep.models.init import small_normal, truncated_normal

TRUNK_STRIDE = 4
# Rows and columns of patches that the published models keep at every size.
LEAST_PATCHES = 16


class TokenPose(nn.Module):
    """A convolutional trunk to stride 4, then a transformer over its patches and one token for each joint.

    S has the stem and first layer of HRNet as trunk, B and L three stages of HRNet-W32 and -W48. Linear layers and
    tokens start from a truncated normal, as published.

    The table of positions is fixed, a buffer. It is added to the patches, not to the joints' tokens, before every layer
    but the first of a second or third transformer ("sine-full" of the published code). That code counts its (patches x
    dim) elements among all parameters, the paper's tables don't: 49,152 with 256 patches.

    Args:
        width: Width of the HRNet, or None for its stem alone.
        patch: (rows, columns) of the stride-4 map that make one patch. None takes on each side the greatest divisor
            that leaves 16 patches or more, as published: 4x3 at 256x192, 6x4 at 384x288; inferred from the printed
            parameters and costs: 2x2 at 128x128 and 1x1 at 64x64.
        dim, num_heads: Width of the tokens, and the number of attention heads, which divides it.
        depths: Layers of each transformer. L has three in series, and the joints' tokens of all three are joined.
        mlp_ratio: Width of the hidden layer of a block by ``dim``.
        scale_with_head: Divide the attention's products by the root of a head's width (T, B, L), not of ``dim`` (S).
        init: As published; None keeps timm's.
    """

    multiple = TRUNK_STRIDE
    pretrained_part = "trunk"

    def __init__(
        self,
        size: tuple[int, int],
        num_keypoints: int,
        width: int | None = None,
        patch: Sequence[int] | None = None,
        dim: int = 192,
        depths: Sequence[int] = (12,),
        num_heads: int = 8,
        mlp_ratio: int = 3,
        scale_with_head: bool = False,
        in_channels: int = 3,
        init: Callable[[nn.Module], None] | None = small_normal,
    ) -> None:
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise InputError(f"backbone TokenPose: dim={dim} does not divide among num_heads={num_heads}")
        if not depths or min(depths) < 1:
            raise InputError(f"backbone TokenPose: depths={list(depths)} must be one or more numbers from 1 on")
        rows, columns = size[0] // TRUNK_STRIDE, size[1] // TRUNK_STRIDE
        self.patch = _patch(rows, columns, patch)
        if width is None:
            self.trunk: Any = Stem(in_channels, init)
            inputs = 256
        else:
            # Two more halvings on the way to the third stage's coarsest branch.
            self.multiple = 4 * TRUNK_STRIDE
            hrnet = HRNet(width, in_channels=in_channels, stages=3, init=init)
            self.trunk, inputs = hrnet.trunk, hrnet.channels[0]
        self.keypoint_token = nn.Parameter(torch.empty(1, num_keypoints, dim))
        self.pos_embedding = nn.Buffer(sine_table(rows // self.patch[0], columns // self.patch[1], dim)[None])
        self.patch_to_embedding = nn.Linear(self.patch[0] * self.patch[1] * inputs, dim)
        scale = (dim // num_heads if scale_with_head else dim) ** -0.5
        self.transformers = nn.ModuleList(
            nn.ModuleList(PreNormLayer(dim, num_heads, mlp_ratio * dim, scale) for _ in range(depth))
            for depth in depths
        )
        truncated_normal(self.patch_to_embedding)
        truncated_normal(self.transformers)
        nn.init.trunc_normal_(self.keypoint_token, std=0.02)
        self.channels: tuple[int, ...] = (dim * len(depths),)
        self.strides: tuple[int, ...] = ()

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """Turn normalised images (B, C, H, W) into the joints' tokens (B, K, channels[0])."""
        joints = self.keypoint_token.shape[1]
        rows, columns = self.patch
        x = self.trunk(image)[-1].unflatten(3, (-1, columns)).unflatten(2, (-1, rows))
        # (B, patches, rows * columns * channels), a patch row by row, channels innermost.
        x = self.patch_to_embedding(x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2))
        positions = F.pad(self.pos_embedding, (0, 0, joints, 0))
        x = torch.cat([self.keypoint_token.expand(x.shape[0], -1, -1), x], 1) + positions
        joint_tokens = []
        for layers in self.transformers:
            for i, layer in enumerate(layers.children()):
                x = layer(x + positions if i else x)
            joint_tokens.append(x[:, :joints])
        return (torch.cat(joint_tokens, -1),)

    def official(self, key: str) -> str:
        """Return the own name of an entry of the published code."""
        key = re.sub(r"^(features|pre_feature|transformer)\.", "", key)
        key = re.sub(r"^transformer(\d?)\.layers\.", lambda match: f"transformers.{int(match[1] or 1) - 1}.", key)
        for theirs, own in LAYER_PARTS.items():
            key = key.replace(theirs, own)
        return key


# Parts of a layer in the published code, and their own names.
LAYER_PARTS = {
    ".0.fn.norm.": ".norm1.",
    ".0.fn.fn.to_qkv.": ".qkv.",
    ".0.fn.fn.to_out.0.": ".out.",
    ".1.fn.norm.": ".norm2.",
    ".1.fn.fn.net.0.": ".fc1.",
    ".1.fn.fn.net.3.": ".fc2.",
}


class PreNormLayer(nn.Module):
    """Pre-norm self-attention and a GELU block, each around a shortcut; queries, keys and values have no bias.

    ``hidden`` is the width inside the block, ``scale`` the factor on the products of queries and keys.
    """

    def __init__(self, dim: int, heads: int, hidden: int, scale: float) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens of the same shape (B, N, dim)."""
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value, scale=self.scale)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Stem(nn.Sequential):
    """HRNet's two strided convolutions and first layer: 256 channels at stride 4."""

    def __init__(self, in_channels: int, init: Callable[[nn.Module], None] | None) -> None:
        super().__init__()
        # The same at every width; the rest of the smallest is thrown away.
        whole = timm.create_model("hrnet_w18", features_only=True, in_chans=in_channels)
        for name in ("conv1", "bn1", "act1", "conv2", "bn2", "act2", "layer1"):
            self.add_module(name, whole.get_submodule(name))
        if init:
            init(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Turn images (B, C, H, W) into a list of one map (B, 256, H / 4, W / 4), as other trunks do."""
        return [super().forward(image)]


def _patch(rows: int, columns: int, given: Sequence[int] | None) -> tuple[int, int]:
    if given is None:
        divisors = ([n for n in range(1, side // LEAST_PATCHES + 1) if side % n == 0] for side in (rows, columns))
        height, width = (max(numbers, default=1) for numbers in divisors)
        return height, width
    if len(given) != 2 or min(given) < 1 or rows % given[0] or columns % given[1]:
        raise InputError(
            f"backbone TokenPose: patch={list(given)} must be two numbers from 1 on, rows and columns, that tile the "
            f"stride-4 map of {rows}x{columns} positions; take divisors of both, or patch=null"
        )
    return given[0], given[1]
