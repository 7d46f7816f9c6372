"""A network that runs more than its head reads, because a paper counted it so."""

from typing import Any

from torch import Tensor

from poserep.models import HRFormer


class UnreadFusions(HRFormer):
    """HRFormer that gives its finest branch alone but makes its last fusions into the coarser ones too.

    Takes the options of `HRFormer`. Never train it: those fusions would be parameters without gradient.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(multiscale=True, **options)
        self.channels, self.strides = self.channels[:1], self.strides[:1]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Turn normalised images (B, C, H, W) into the finest map (B, channels[0], H / 4, W / 4)."""
        return super().forward(image)[:1]
