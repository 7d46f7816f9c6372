"""TransPose (Yang et al. 2021): a convolutional map, narrowed and passed through a transformer encoder."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.backbones.hrnet import HRNet
from poserep.models.backbones.timm_features import TimmFeatures
from poserep.models.init import small_normal


def sine_table(height: int, width: int, features: int) -> Tensor:
    """Return sines and cosines of each position's row and column (Carion et al. 2020, DETR, normalised).

    The first half of the features, a multiple of 4, encodes the row, the second the column. A side of n positions is
    one turn: position i, from 0, has the angle 2 pi (i + 1) / (n + 1e-6), divided by 10000^(2j / F) for the j-th pair
    of the F features of its half; a pair is sine and cosine. Returns (height * width, features), row by row.
    """
    if features < 4 or features % 4:
        raise InputError(f"a table of positions in two directions needs a multiple of 4 features, not {features}")

    def turn(n: int) -> Tensor:
        place = 2 * math.pi * torch.arange(1, n + 1, dtype=torch.float64) / (n + 1e-6)
        pair = torch.arange(features // 4, dtype=torch.float64)
        angle = place[:, None] / 10_000 ** (2 * pair / (features // 2))
        return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)

    rows, columns = turn(height)[:, None].expand(-1, width, -1), turn(width)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1).float()


class TransPose(nn.Module):
    """A trunk's map, a 1x1 convolution to fewer channels, and self-attention among all positions.

    What follows in the paper, a deconvolution (R) and a 1x1 convolution, is the head `Deconv`. The table of positions
    is a buffer of positions x ``dim``, which the published counts include: 196,608 elements for R and 294,912 for H at
    256x192. The encoder's weights start from Xavier's uniform numbers.

    Args:
        source: A backbone. The last of its maps is encoded, finer ones are given as they are.
        layers, num_heads: Layers of the encoder, and their attention heads.
        dim: Channels of the map inside the encoder, and of its output; a multiple of ``num_heads``.
        feedforward: Width of the hidden layer of a block.
        dropout: Dropout rate in training, of attention weights too.
    """

    pretrained_part = "trunk"

    def __init__(
        self,
        source: HRNet | TimmFeatures,
        size: tuple[int, int],
        layers: int,
        dim: int,
        feedforward: int,
        num_heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if layers < 1 or num_heads < 1 or dim % num_heads:
            raise InputError(
                f"backbone {type(self).__name__}: layers={layers} must be at least 1, and dim={dim} a multiple of "
                f"num_heads={num_heads}"
            )
        self.trunk, self.strides = source.trunk, source.strides
        self.channels: tuple[int, ...] = (*source.channels[:-1], dim)
        self.reduce = nn.Conv2d(source.channels[-1], dim, 1, bias=False)
        height, width = (side // self.strides[-1] for side in size)
        self.pos_embedding = nn.Buffer(sine_table(height, width, dim)[:, None])
        encoder = (PostNormLayer(dim, num_heads, feedforward, dropout, batch_first=True) for _ in range(layers))
        # So named in the published code.
        self.global_encoder = nn.ModuleDict({"layers": nn.ModuleList(encoder)})
        for p in self.global_encoder.parameters():
            if p.ndim > 1:
                nn.init.xavier_uniform_(p)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Turn normalised images (B, C, H, W) into a map (B, dim, H / stride, W / stride), after finer ones if any."""
        *finer, coarsest = self.trunk(image)
        maps = self.reduce(coarsest)
        x = maps.flatten(2).transpose(1, 2)
        for layer in self.global_encoder["layers"].children():
            x = layer(x, self.pos_embedding.transpose(0, 1))
        return (*finer, x.transpose(1, 2).unflatten(2, maps.shape[2:]).contiguous())


class TransPoseR(TransPose):
    """TransPose-R: ResNet-50 up to stride 8, 512 channels (A3 and A4, by the number of layers).

    Narrowing starts from PyTorch's numbers, as in the published code with ImageNet weights. With ``multiscale`` it
    gives the map of stride 4, of 256 channels, too: on these two maps SRPose has the printed parameters.
    """

    multiple = 8

    def __init__(
        self,
        size: tuple[int, int],
        layers: int = 4,
        dim: int = 256,
        feedforward: int = 1024,
        num_heads: int = 8,
        dropout: float = 0.1,
        in_channels: int = 3,
        init: Callable[[nn.Module], None] | None = small_normal,
        multiscale: bool = False,
    ) -> None:
        indices = (1, 2) if multiscale else (2,)
        resnet = TimmFeatures("resnet50", indices, in_channels=in_channels, init=init)
        super().__init__(resnet, size, layers, dim, feedforward, num_heads, dropout)


class TransPoseH(TransPose):
    """TransPose-H: three stages of HRNet, their finest branch at stride 4.

    A4 and A6 have ``width`` 48, by the number of layers; H-S has 32, 4 layers, 64 channels and 128 inside a block.
    """

    multiple = 16

    def __init__(
        self,
        size: tuple[int, int],
        width: int = 48,
        layers: int = 6,
        dim: int = 96,
        feedforward: int = 192,
        num_heads: int = 1,
        dropout: float = 0.1,
        in_channels: int = 3,
        init: Callable[[nn.Module], None] | None = small_normal,
    ) -> None:
        hrnet = HRNet(width, in_channels=in_channels, stages=3, init=init)
        super().__init__(hrnet, size, layers, dim, feedforward, num_heads, dropout)
        small_normal(self.reduce)


class PostNormLayer(nn.TransformerEncoderLayer):
    """Post-norm self-attention and a ReLU block, each around a shortcut; positions are added to queries and keys."""

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:  # type: ignore[override]
        """Return (B, N, dim) for the same shape and a table of positions (1, N, dim)."""
        query = x + positions
        attended, _ = self.self_attn(query, query, x, need_weights=False)
        x = self.norm1(x + self.dropout1(attended))
        return self.norm2(x + self.dropout2(self.linear2(self.dropout(self.linear1(x).relu()))))
