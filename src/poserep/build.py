"""Configuration to objects. Derived numbers (channels, strides, K, bins) are passed here, never typed in YAML."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.core.config_store import ConfigStore
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from poserep.codecs import Codec
from poserep.data import PoseDataModule, PoseDataset
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.metrics import PoseMetric
from poserep.models import Head, PoseNet
from poserep.module import PoseModule
from poserep.skeleton import COCO, CROWDPOSE, HUMAN4D, MPII, Skeleton

CONF = Path(__file__).parents[2] / "conf"


@dataclass
class RunSchema:
    """The run-level keys and their types; everything below a group is the group's own business."""

    data: Any = None
    backbone: Any = None
    representation: Any = None
    augment: Any = None
    optim: Any = None
    trainer: Any = None
    logger: Any = None
    input_size: str = "64x64"  # not `size`, which is the name of the group that sets it
    heatmap_sigma: float = 1.0
    simcc_sigma: float = 4.0
    dark_kernel: int = 3
    study: str = "default"
    seed: int = 0
    align: str = "centre"
    flip_test: bool = True
    readouts: list[str] | None = None
    boxes: list[str] | None = None
    runs: str = "runs"
    table: Any = None


ConfigStore.instance().store("schema", RunSchema)


@dataclass
class Run:
    """The objects of a run."""

    module: PoseModule
    data: PoseDataModule
    skeleton: Skeleton
    files: dict[str, Path]
    lr: float


def make(node: DictConfig, *args: Any, **kwargs: Any) -> Any:
    """Call a node's ``_target_`` with its own arguments and the given ones, or bind them if it is ``_partial_``.

    Objects are passed past Hydra, which would copy them into its configuration.

    Raises:
        InputError: What the target raises, or, naming the node, that an argument is unknown or missing.
    """
    try:
        bound = instantiate(node, _partial_=True, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        # The first line names the target, the cause says what is wrong with it.
        reason = str(error).splitlines()[0]
        cause = f" {error.__cause__}" if error.__cause__ and reason.endswith(":") else ""
        raise InputError(f"{node._get_full_key(None)}: {reason}{cause}") from error
    if node.get("_partial_"):
        return partial(bound, *args, **kwargs)
    try:
        inspect.signature(bound).bind(*args, **kwargs)
    except (TypeError, ValueError) as error:
        # A partial object hides the reason in the cause.
        raise InputError(f"{node._get_full_key(None)} ({node._target_}): {error.__cause__ or error}") from error
    try:
        return bound(*args, **kwargs)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{node._get_full_key(None)} ({node._target_}): {error}") from error


def build_skeleton(node: Any) -> Skeleton:
    """The name of a known data set's, the path of a YAML or JSON file, or a mapping in place."""
    if isinstance(node, str):
        known = {skeleton.name: skeleton for skeleton in (COCO, CROWDPOSE, HUMAN4D, MPII)}
        return known[node] if node in known else Skeleton.from_file(node)
    category = OmegaConf.to_container(node, resolve=True)
    assert isinstance(category, dict)
    return Skeleton.from_category({str(key): value for key, value in category.items()})


def build_net(cfg: DictConfig, skeleton: Skeleton) -> tuple[PoseNet, Codec]:
    """Network and codec of a configuration.

    Raises:
        InputError: If backbone, head, codec and size do not fit; both names are in the message.
    """
    size = Size.parse(cfg.input_size)
    codec: Codec = make(cfg.representation.codec, size=size, align=cfg.align)
    backbone = make(cfg.backbone)
    step = backbone.multiple
    if size.height % step or size.width % step:
        near = Size(*(max(step, round(n / step) * step) for n in size))
        raise InputError(
            f"input_size={size} does not suit backbone {cfg.backbone._target_.split('.')[-1]}, whose input must be a "
            f"multiple of {step} px on both sides; the nearest is {near}"
        )
    head = make(cfg.representation.head, backbone.channels, backbone.strides, skeleton.num_keypoints, codec.x, codec.y)
    if head.form != codec.form:
        raise InputError(
            f"head {type(head).__name__} emits {head.form!r}, but codec {type(codec).__name__} reads {codec.form!r}; "
            "take head and codec from one representation"
        )
    for readout in cfg.readouts or ():
        codec.readout(readout)
    maps = zip(backbone.channels, backbone.strides, strict=True)
    features = [torch.zeros(1, c, size.height // s, size.width // s) for c, s in maps]
    _try(head, codec, features, skeleton.flip_perm())
    net = PoseNet(backbone, head, channels_last=cfg.trainer.channels_last)
    # Weights in the images' layout, or every step converts them.
    return net.to(memory_format=torch.channels_last) if cfg.trainer.channels_last else net, codec


def _try(head: Head, codec: Codec, features: list[torch.Tensor], perm: torch.Tensor) -> None:
    """One pass through all that training and evaluation do with an output, before any data are read.

    Raises:
        InputError: If head, criterion, flip test or a readout cannot work with the others.
    """
    target, weight = codec.encode(torch.zeros(1, len(perm), 2), torch.ones(1, len(perm)))
    try:
        with torch.no_grad():
            codec.loss(codec.oracle(target), target, weight)
            out = head.eval()(features)
            for readout in codec.readouts:
                codec.decode(codec.merge(out, out, perm), readout)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"head {type(head).__name__} and codec {type(codec).__name__} of this representation fail on a trial: "
            f"{type(error).__name__}: {error}; see representation.head, .codec.criterion and .codec.readouts"
        ) from error
    head.train()


def effective_lr(optim: DictConfig, batch: int) -> float:
    """The LR for a total batch, from the one stated for the reference batch."""
    ratio = batch / optim.reference_batch
    factors = {"linear": ratio, "sqrt": math.sqrt(ratio), "none": 1.0}
    if optim.rule not in factors:
        raise InputError(f"optim.rule={optim.rule!r} is not one of {list(factors)}")
    return optim.lr * factors[optim.rule]


def build(cfg: DictConfig, train: bool = True) -> Run:
    """All objects of a run; ``train=False`` leaves out what only training needs."""
    skeleton = build_skeleton(cfg.data.skeleton)
    net, codec = build_net(cfg, skeleton)
    root = Path(make(cfg.data.prepare) if cfg.data.prepare else cfg.data.root)
    size = Size.parse(cfg.input_size)
    files = {"annotations": root / cfg.data.val.annotations}
    if cfg.data.detections:
        files["detections"] = root / cfg.data.detections

    def dataset(node: DictConfig, augment: Any = None, **options: Any) -> PoseDataset:
        paths = {"annotations": root / node.annotations, "images": root / node.images}
        return PoseDataset(
            make(node, skeleton=skeleton, **paths, **options), skeleton, size, cfg.align, augment, seed=cfg.seed
        )

    offered: dict[str, dict[str, Path]] = {"gt": {}}
    if "detections" in files:
        offered["det"] = {"detections": files["detections"]}
    wanted = cfg.boxes or list(offered)
    unknown = [b for b in wanted if b not in offered]
    if unknown:
        raise InputError(f"boxes={unknown} cannot be had: {cfg.data.name} offers {list(offered)}; set data.detections")
    evaluation = {boxes: dataset(cfg.data.val, **offered[boxes]) for boxes in wanted}

    def metric(boxes: str) -> Callable[[], PoseMetric]:
        return partial(
            make,
            cfg.data.metric,
            instances=evaluation[boxes].instances,
            annotations=files["annotations"],
            skeleton=skeleton,
            size=size,
            score_threshold=codec.score_threshold,
        )

    lr = effective_lr(cfg.optim, cfg.trainer.batch)
    module = PoseModule(
        net,
        codec,
        skeleton.flip_perm(),
        {boxes: metric(boxes) for boxes in wanted},
        cfg.readouts,
        make(cfg.optim.optimizer, lr=lr),
        make(cfg.optim.schedule),
        cfg.flip_test,
        cfg.seed,
    )
    data = PoseDataModule(
        dataset(cfg.data.train, make(cfg.augment)) if train else None,
        evaluation,
        cfg.trainer.batch,
        cfg.seed,
        cfg.trainer.workers,
    )
    return Run(module, data, skeleton, files, lr)
