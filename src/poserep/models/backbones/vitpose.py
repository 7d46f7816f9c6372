"""ViTPose (Xu et al. 2022) and Sapiens (Khirodkar et al. 2024): a plain vision transformer, on timm's modules."""

import re
from collections.abc import Mapping
from functools import partial

import torch
from timm.layers import LayerNorm
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from poserep.errors import InputError, check_positive
from poserep.models.weights.load import resample_positions

PATCH = 16
# Names of entries in ViTPose's code, ImageNet weights and mmpose 1.x (Sapiens too), and here; the first match counts.
OWN_NAMES = {
    r"(pos_embed)": r"\1",
    r"(?:last_norm|norm|ln1)\.(.+)": r"trunk.norm.\1",
    r"patch_embed\.(?:proj|projection)\.(.+)": r"trunk.patch_embed.proj.\1",
    r"layers\.(\d+)\.ln([12])\.(.+)": r"trunk.blocks.\1.norm\2.\3",
    r"layers\.(\d+)\.ffn\.layers\.0\.0\.(.+)": r"trunk.blocks.\1.mlp.fc1.\2",
    r"layers\.(\d+)\.ffn\.layers\.1\.(.+)": r"trunk.blocks.\1.mlp.fc2.\2",
    r"(?:blocks|layers)\.(\d+\..+)": r"trunk.blocks.\1",
}


class ViTPose(nn.Module):
    """ViTPose's backbone: S by default; B has width 768 and a drop path of 0.3.

    One map of stride 16. With the head `Deconv` at stride 4 this is the paper's model with its classic decoder, with
    `BilinearConv` that with its simple one. Patches of 16x16 are
    cut from 2 px before the image on, with zeros there, as in the published code. Weights start as timm's do, which is
    as the published code's. The table of positions is learnt, for one input size. Sapiens for poses has the same blocks
    and patches without an entry for a class token, in four sizes, and a head of its own (conf/backbone/sapiens_*.yaml).

    Args:
        width, depth: Channels, a multiple of ``num_heads``, and blocks.
        num_heads: Attention heads; 12 in S too, where other small vision transformers have 6.
        drop_path: Probability that a sample skips a part of the last block in training, growing linearly from 0.
        class_entry: The table has one entry more, from pretraining with a class token, which is added to all
            positions; so in ViTPose's code and Hugging Face's, but not in mmpose 1.x and Sapiens, whose files need
            false.
        eps: What layer norms add to the variance; 1e-12 in Hugging Face's files, whose config.json says so.
    """

    multiple = PATCH

    def __init__(
        self,
        size: tuple[int, int],
        width: int = 384,
        depth: int = 12,
        num_heads: int = 12,
        drop_path: float = 0.1,
        class_entry: bool = True,
        in_channels: int = 3,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        check_positive("backbone ViTPose: eps", eps)
        if depth < 1 or num_heads < 1 or width < 1 or width % num_heads or not 0 <= drop_path < 1:
            raise InputError(
                f"backbone ViTPose: depth={depth} must be at least 1, width={width} a multiple of "
                f"num_heads={num_heads}, and drop_path={drop_path} lie in [0, 1)"
            )
        self.grid = (size[0] // PATCH, size[1] // PATCH)
        self.extra = int(class_entry)
        self.trunk = VisionTransformer(
            (size[0], size[1]),
            PATCH,
            in_channels,
            num_classes=0,
            global_pool="",
            embed_dim=width,
            depth=depth,
            num_heads=num_heads,
            class_token=False,
            pos_embed="none",
            drop_path_rate=drop_path,
            norm_layer=partial(LayerNorm, eps=eps),
        )
        self.trunk.patch_embed.proj.padding = (2, 2)
        self.pos_embed = nn.Parameter(torch.empty(1, self.extra + self.grid[0] * self.grid[1], width))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.channels: tuple[int, ...] = (width,)
        self.strides: tuple[int, ...] = (PATCH,)

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """Turn normalised images (B, C, H, W) into a map (B, width, H / 16, W / 16)."""
        x = self.trunk.patch_embed(image) + self.pos_embed[:, self.extra :]
        if self.extra:
            x = x + self.pos_embed[:, :1]
        x = self.trunk.norm(self.trunk.blocks(x))
        return (x.transpose(1, 2).unflatten(2, self.grid).contiguous(),)

    def resampled(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a file's tensors with the table of positions, if it is of another size, resampled to this one."""
        return resample_positions(state, self.pos_embed, self.grid, self.extra)

    def official(self, key: str) -> str | None:
        """Return the own name of an entry of ViTPose's code, mmpose 1.x, Sapiens or ImageNet weights; None if none."""
        matches = ((re.fullmatch(theirs, key), own) for theirs, own in OWN_NAMES.items())
        return next((match.expand(own) for match, own in matches if match), None)
