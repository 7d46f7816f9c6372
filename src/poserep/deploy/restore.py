"""A run directory to the graph of one of its checkpoints, without any data."""

from importlib.metadata import version
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from poserep.data.build import skeleton_of
from poserep.deploy.card import READERS, Card, category_of
from poserep.deploy.graph import PoseGraph
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models.files import read_state
from poserep.training.evaluate import checkpoint_of, load
from poserep.training.evaluation import score_threshold, temperature
from poserep.training.module import PoseModule
from poserep.training.nets import build_net


def restore_graph(run_dir: Path, cfg: DictConfig, readout: str | None = None) -> tuple[PoseGraph, Card]:
    """The network, codec and readout of a run with the weights of the checkpoint that ``cfg.checkpoint`` names.

    Args:
        run_dir: Of the run.
        cfg: From `poserep.training.evaluate.configure`.
        readout: Of the codec; None takes the run's default one.

    Raises:
        InputError: If the checkpoint is missing or does not fit, there is no such readout, or the run's images are
            neither photographs nor depths.
    """
    state = read_state(checkpoint_of(run_dir, cfg.checkpoint))
    cfg = cfg.copy()
    # The checkpoint has all weights: those that training began with may be gone.
    if cfg.backbone.get("weights"):
        cfg.backbone.weights = None
    cfg.trainer.channels_last = False
    skeleton = skeleton_of(cfg)
    net, codec = build_net(cfg, skeleton)
    module = PoseModule(net, codec, skeleton.flip_perm(), {}, cfg.readouts)
    load(module, state, f"checkpoint {cfg.checkpoint} of {run_dir}")
    chosen = readout or module.readouts[0]
    graph = PoseGraph(net, codec, skeleton.flip_perm(), chosen, cfg.flip_test).eval().requires_grad_(False)
    crop = OmegaConf.to_container(cfg.data.crop, resolve=True) if cfg.data.get("crop") else {}
    assert isinstance(crop, dict)
    size = Size.parse(cfg.input_size)
    card = Card(
        run=run_dir.resolve().name,
        checkpoint=cfg.checkpoint,
        version=version("poserep"),
        data=cfg.data.name,
        representation=cfg.representation.name,
        category=category_of(skeleton),
        height=size.height,
        width=size.width,
        channels=net.channels,
        reads=_reader(cfg),
        align=cfg.align,
        padding=crop.get("padding", 1.25),
        inclusive=crop.get("inclusive"),
        bgr=crop.get("bgr", False),
        whole=crop.get("whole", False),
        readout=chosen,
        flip_test=cfg.flip_test,
        score=codec.deviations.score,
        temperature=temperature(codec),
        score_threshold=score_threshold(codec),
    )
    return graph, card


def _reader(cfg: DictConfig) -> str:
    if not cfg.data.get("read"):
        return "photographs"
    name = cfg.data.read._target_.split(".")[-1]
    for key, reader in READERS.items():
        if reader.__name__ == name:
            return key
    raise InputError(f"data.read={cfg.data.read._target_} is not known here; known are {sorted(READERS)}")
