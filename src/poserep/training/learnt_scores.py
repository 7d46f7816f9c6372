"""Scores of joints that a head has learnt, in place of the codec's: how the head is made and asked."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from poserep.codecs import Codec
from poserep.codecs.base import Points
from poserep.models import ConfidenceHead, PoseNet

# How the entries of a checkpoint with learnt scores begin that others lack.
SCORE_HEAD = "score_head."


def new_score_head(net: PoseNet, num_keypoints: int) -> ConfidenceHead:
    """Return a head that has learnt nothing, for the features of a network."""
    backbone: Any = net.backbone
    finest = backbone.strides.index(min(backbone.strides)) if backbone.strides else 0
    return ConfidenceHead(backbone.channels[finest], num_keypoints)


def score_logits(head: ConfidenceHead, features: Sequence[Tensor], codec: Codec, points: Points) -> Tensor:
    """Return the logits (B, K) of the scores of a readout's points, (B, K, 2) in input px."""
    side = points.xy.new_tensor([codec.x.length, codec.y.length])
    return head(features, (points.xy + 0.5) / side * 2 - 1, points.score)


def rescore(head: ConfidenceHead, net: PoseNet, codec: Codec, image: Tensor, decoded: Sequence[Any]) -> list[Any]:
    """Return the points of each readout for images (B, C, H, W) with learnt scores, in [0, 1].

    Features are of the images as they are, in a flip test too.
    """
    features = net.features(image)
    return [p._replace(score=score_logits(head, features, codec, p).sigmoid()) for p in decoded]
