"""A trained network from bytes to coordinates as one module: normalisation, flip test and decoding included."""

from typing import Any

from torch import Tensor, nn

from poserep.codecs import Codec
from poserep.models import PoseNet


class PoseGraph(nn.Module):
    """Crops to points, computed as in evaluation: what `poserep.training.module.PoseModule` predicts, read in one way.

    Args:
        net: Images to outputs.
        codec: Reads what the head emits.
        perm: (K,) from `Skeleton.flip_perm`.
        readout: Of the codec; None takes its default one.
        flip_test: Average over the mirrored image.

    Raises:
        InputError: If the codec has no such readout.
    """

    def __init__(
        self, net: PoseNet, codec: Codec, perm: Tensor, readout: str | None = None, flip_test: bool = False
    ) -> None:
        super().__init__()
        codec.readout(readout)
        self.net, self.codec, self.readout, self.flip_test = net, codec, readout, flip_test
        self.perm: Tensor
        self.register_buffer("perm", perm, persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W), uint8 or float32 as the data are, to points (B, K, 2) in input px and scores (B, K)."""
        return self.read(self.net(image), self.net(self.codec.mirror(image)) if self.flip_test else None)

    def read(self, out: Any, mirrored: Any = None) -> tuple[Tensor, Tensor]:
        """What the head emits for images, and for mirrored images if there is a flip test, to points and scores."""
        if self.flip_test:
            out = self.codec.merge(out, mirrored, self.perm)
        points = self.codec.decode(out, self.readout)
        return points.xy, points.score
