"""A trained network from bytes to coordinates as one module, and how a run directory becomes one."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from poserep.codecs import Codec
from poserep.config import DictConfig
from poserep.data.from_config import skeleton_of
from poserep.deploy.card import Card, reads_of
from poserep.geometry import Size
from poserep.models import PoseNet
from poserep.models.weights.read import read_state
from poserep.training.evaluate import checkpoint_of, load
from poserep.training.module import PoseModule, score_temperature, score_threshold
from poserep.training.network import build_network


class PoseGraph(nn.Module):
    """Turns crops into points as in evaluation: what `poserep.training.module.PoseModule` predicts, read in one way.

    ``perm`` (K,) is from `Skeleton.flip_perm`; without ``readout`` the codec's default one is taken.
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
        """Return points (B, K, 2) in input px and scores (B, K) on images (B, C, H, W), uint8 or float32."""
        return self.read(self.net(image), self.net(self.codec.mirror(image)) if self.flip_test else None)

    def read(self, out: Any, mirrored: Any = None) -> tuple[Tensor, Tensor]:
        """Return points and scores of what the head emits for images, and for mirrored images in a flip test."""
        if self.flip_test:
            out = self.codec.merge(out, mirrored, self.perm)
        points = self.codec.decode(out, self.readout)
        return points.xy, points.score


def restore_graph(run_dir: Path, cfg: DictConfig, readout: str | None = None) -> tuple[PoseGraph, Card]:
    """Return the graph of a run with the weights of the checkpoint that ``cfg.checkpoint`` names, and its card.

    No data are needed. ``cfg`` is the run's configuration from `poserep.training.evaluate.configure`; without
    ``readout`` the run's default one is taken.

    Raises:
        InputError: If the checkpoint is missing or does not fit, there is no such readout, or the run's images are
            neither photographs nor depth maps.
    """
    state = read_state(checkpoint_of(run_dir, cfg.checkpoint))
    cfg = cfg.copy()
    # The checkpoint has all weights: those that training began with may be gone.
    if cfg.backbone.get("weights"):
        cfg.backbone.weights = None
    cfg.trainer.channels_last = False
    skeleton = skeleton_of(cfg)
    net, codec = build_network(cfg, skeleton)
    module = PoseModule(net, codec, skeleton.flip_perm(), {}, cfg.readouts)
    load(module, state, f"checkpoint {cfg.checkpoint} of {run_dir}")
    chosen = readout or module.readouts[0]
    graph = PoseGraph(net, codec, skeleton.flip_perm(), chosen, cfg.flip_test).eval().requires_grad_(False)
    crop: dict[str, Any] = {"padding": 1.25, "inclusive": None, "bgr": False, "whole": False}
    crop |= {str(key): value for key, value in (cfg.data.get("crop") or {}).items() if key in crop}
    edges, pairs = ([list(names) for names in groups] for groups in (skeleton.edges, skeleton.pairs))
    height, width = Size.parse(cfg.input_size)
    card = Card(
        run=run_dir.resolve().name,
        checkpoint=cfg.checkpoint,
        version=version("poserep"),
        data=cfg.data.name,
        representation=cfg.representation.name,
        category={
            "name": skeleton.name,
            "keypoints": list(skeleton.names),
            "pairs": pairs,
            "edges": edges,
            "sigmas": list(skeleton.sigmas),
            "upper": list(skeleton.upper),
        },
        height=height,
        width=width,
        channels=net.channels,
        reads=reads_of(cfg.data.get("read")),
        align=cfg.align,
        **crop,
        readout=chosen,
        flip_test=cfg.flip_test,
        score=codec.deviations.score,
        temperature=score_temperature(codec),
        score_threshold=score_threshold(codec),
    )
    return graph, card
