"""Initialisations of the papers' code, by name. Each works in place on a whole module.

Backbones take one as ``init`` (in YAML a node with ``_partial_: true``); without it the trunk keeps timm's. Weights
from a file are loaded afterwards.
"""

from torch import nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)
NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


def small_normal(module: nn.Module) -> None:
    """Convolutions, transposed too, ~ N(0, 0.001), their biases 0; scales of norms 1, their shifts 0.

    HRNet's code does so for the whole network, SimpleBaseline's for its head, TransPose's and TokenPose's for all
    convolutions. Linear layers keep what they have: SimCC's classifiers PyTorch's uniform numbers.
    """
    for part in module.modules():
        if isinstance(part, CONVOLUTIONS):
            nn.init.normal_(part.weight, std=0.001)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, NORMS) and part.weight is not None:
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


def truncated_normal(module: nn.Module, std: float = 0.02) -> None:
    """Linear layers ~ N(0, std) cut at 2 in absolute value, their biases 0; scales of norms 1, shifts 0.

    ViT and TokenPose begin so.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=std)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm) and part.weight is not None:
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
