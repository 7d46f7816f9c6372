"""Initialisations of the papers' code, by name. Each works in place on a whole module.

Backbones take one as ``init`` (in YAML a node with ``_partial_: true``); without it the trunk keeps timm's. Weights
from a file are loaded afterwards.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)
NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


def small_normal(module: nn.Module) -> None:
    """Draw convolutions, transposed too, from N(0, 0.001), with biases 0; scales of norms are 1, their shifts 0.

    HRNet's code does so for the whole network, SimpleBaseline's for its head, TransPose's and TokenPose's for all
    convolutions. Linear layers keep what they have.
    """
    _initialise(module, CONVOLUTIONS, NORMS, partial(nn.init.normal_, std=0.001))


def truncated_normal(module: nn.Module, std: float = 0.02) -> None:
    """Draw linear layers from N(0, std) cut at 2 in absolute value (ViT, TokenPose); norms as `small_normal`."""
    _initialise(module, (nn.Linear,), (nn.LayerNorm,), partial(nn.init.trunc_normal_, std=std))


def _initialise(module: nn.Module, layers: Any, norms: Any, draw: Callable[[Tensor], Tensor]) -> None:
    for part in module.modules():
        if isinstance(part, layers):
            draw(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, norms) and part.weight is not None:
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
