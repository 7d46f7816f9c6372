"""A head for confidence alone: from the features of a finished network and its own points to the OKS to expect."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Scores of 0 and 1 have no logit.
LEAST_SCORE = 1e-4


class ConfidenceHead(nn.Module):
    """Predicts each joint's OKS with its coordinates fixed (after Gu et al. 2024, CCNet, arXiv 2311.17105).

    It reads the finest map of the backbone at the joint's predicted place and its mean, or the joint's token; the score
    that the codec gives; and which joint it is: one hidden layer for all joints. That paper's network is not known in
    detail here.

    Args:
        channels: Channels of the map, or width of the tokens.
        num_keypoints: Joints.
        hidden: Width of the hidden layer.
    """

    def __init__(self, channels: int, num_keypoints: int, hidden: int = 128) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.here, self.around = nn.Linear(channels, hidden), nn.Linear(channels, hidden, bias=False)
        self.given = nn.Linear(1, hidden, bias=False)
        self.joint = nn.Parameter(torch.zeros(num_keypoints, hidden))
        self.last = nn.Linear(hidden, 1)

    def forward(self, features: Sequence[Tensor], place: Tensor, score: Tensor) -> Tensor:
        """Return logits (B, K) of the expected OKS.

        Features are as `poserep.models.Backbone` gives them, places (B, K, 2) are in [-1, 1] from the input's left and
        top border to the right and bottom one, scores (B, K) in [0, 1].
        """
        finest = max(reversed(features), key=lambda map_: map_.shape[-1]) if features[0].ndim == 4 else features[0]
        if finest.ndim == 4:
            here = F.grid_sample(finest.float(), place[:, :, None], padding_mode="border", align_corners=False)
            here, mean = here[..., 0].mT, finest.float().mean((-2, -1))[:, None]
        else:
            here, mean = finest.float(), finest.float().mean(1, keepdim=True)
        logit = score.clamp(LEAST_SCORE, 1 - LEAST_SCORE).logit()[..., None]
        hidden = self.here(self.norm(here)) + self.around(self.norm(mean)) + self.given(logit) + self.joint
        return self.last(hidden.relu())[..., 0]
