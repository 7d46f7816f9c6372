"""The block of HRFormer: attention inside windows, then a convolutional feed-forward that mixes windows."""

import torch
from timm.layers import DropPath, gen_relative_position_index
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 7


class HRFormerBlock(nn.Module):
    """Two residual parts on a map, each with a layer norm before and stochastic depth behind (Yuan et al. 2021, 3.1).

    ``drop_path`` is the probability that a sample skips a part in training. For ``position_bias`` see
    `WindowAttention`.
    """

    def __init__(self, channels: int, heads: int, drop_path: float, position_bias: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = LocalAttention(channels, heads, position_bias)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = FeedForward(channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape (B, channels, h, w)."""
        attended = self.attn(self.norm1(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        x = x + self.drop_path(attended)
        normed = self.norm2(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x + self.drop_path(self.mlp(normed))


class LocalAttention(nn.Module):
    """Attention inside windows of 7x7 that do not overlap.

    A map is padded with zeros to whole windows, half on either side. Padded positions are attended to, with the biases
    of the projections as keys and values, as in the published code.
    """

    def __init__(self, channels: int, heads: int, position_bias: bool) -> None:
        super().__init__()
        self.attn = WindowAttention(channels, heads, position_bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape (B, h, w, channels)."""
        height, width = x.shape[1:3]
        rows, columns = -height % WINDOW, -width % WINDOW
        top, left = rows // 2, columns // 2
        padded = F.pad(x, (0, 0, left, columns - left, top, rows - top))
        # (B, windows down, windows across, 7, 7, channels)
        windows = padded.unflatten(2, (-1, WINDOW)).unflatten(1, (-1, WINDOW)).transpose(2, 3)
        out = self.attn(windows.reshape(-1, WINDOW**2, x.shape[3])).view(windows.shape)
        return out.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, top : top + height, left : left + width]


class WindowAttention(nn.Module):
    """Attention among the positions of a window.

    With ``position_bias`` a learnt bias is added to every logit, by the offset of the two positions (the paper,
    HRFormer's classification code, mmpose 1.x). Otherwise its table only gives weights of a file their place (the pose
    code of HRFormer and SRPose).
    """

    def __init__(self, channels: int, heads: int, position_bias: bool) -> None:
        super().__init__()
        self.heads, self.position_bias = heads, position_bias
        table = nn.init.trunc_normal_(torch.empty((2 * WINDOW - 1) ** 2, heads), std=0.02)
        self.relative_position_bias_table = nn.Parameter(table, requires_grad=position_bias)
        self.relative_position_index = nn.Buffer(gen_relative_position_index((WINDOW, WINDOW)))
        self.k_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.q_proj = nn.Linear(channels, channels)
        self.out_proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return windows of the same shape (windows, positions, channels)."""
        query, key, value = (
            projection(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        logits = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
        if self.position_bias:
            logits = logits + self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        return self.out_proj((logits.softmax(-1) @ value).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """1x1 convolution to four times the channels, depthwise 3x3, and 1x1 back, each with batch norm and GELU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = 4 * channels
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.norm1 = nn.BatchNorm2d(hidden)
        self.dw3x3 = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.norm2 = nn.BatchNorm2d(hidden)
        self.fc2 = nn.Conv2d(hidden, channels, 1)
        self.norm3 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape (B, channels, h, w)."""
        x = F.gelu(self.norm1(self.fc1(x)))
        x = F.gelu(self.norm2(self.dw3x3(x)))
        return F.gelu(self.norm3(self.fc2(x)))
