"""The flip test as runs do it, with a network that is equivariant because it only reads marks from the image."""

import re

import pytest
import torch
from torch import Tensor, nn

from codec_cases import CASES, PERM
from poserep.codecs import Codec
from poserep.training.module import PoseModule

# The bias of floor and ceil turns round in the mirror, see tests/codecs/test_contract.py.
SMALL = [c for c in CASES if c.size == "64x64" and not re.search("floor|ceil", c.name)]
JOINTS = torch.tensor([[[12, 8], [40, 20], [24, 52], [52, 36], [8, 44]]])
# Joints lie beside the marked pixels: in the middle of a pixel they would lie half-way between two bins for k = 2.
BESIDE = torch.tensor([0.3, 0.2])


class Reader(nn.Module):
    """Emits perfect outputs for five marked pixels, in the image and then in its mirror image."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec, self.seen = codec, 0

    def forward(self, image: Tensor) -> object:
        marks = [(image[0, 0] == 1 + joint).nonzero() for joint in range(5)]
        assert all(len(mark) == 1 for mark in marks), "a mark has left the image"
        xy = torch.stack([mark[0].flip(0) for mark in marks])[None].float()
        # In the mirror a left joint is a right one, and beside means on the other side.
        xy = xy[:, PERM] + BESIDE * torch.tensor([-1, 1]) if self.seen % 2 else xy + BESIDE
        self.seen += 1
        return self.codec.oracle(self.codec.encode(xy, torch.ones(1, 5))[0])


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_flip_test_changes_nothing(case):
    codec = case()
    image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    for joint, (x, y) in enumerate(JOINTS[0].tolist()):
        image[..., y, x] = 1 + joint
    plain = PoseModule(Reader(codec), codec, PERM, {}, flip_test=False)
    flipped = PoseModule(Reader(codec), codec, PERM, {}, flip_test=True)
    with torch.no_grad():
        out, merged = plain.predict_batch(image), flipped.predict_batch(image)
    for readout in codec.readouts:
        a, b = codec.decode(out, readout), codec.decode(merged, readout)
        torch.testing.assert_close(b.xy, a.xy, atol=1e-3, rtol=0)
        torch.testing.assert_close(b.score, a.score, atol=1e-3, rtol=0)
