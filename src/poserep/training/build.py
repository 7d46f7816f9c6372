"""Configuration to objects. Derived numbers (channels, strides, K, bins) are passed here, never typed in YAML."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from poserep.config import make
from poserep.data import PoseDataModule, Tally
from poserep.data.build import boxes_of, dataset_of, files_of, instances_of, root_of, skeleton_of
from poserep.errors import InputError
from poserep.metrics.build import metric_of
from poserep.skeleton import Skeleton
from poserep.training.module import PoseModule
from poserep.training.nets import build_net


@dataclass
class Run:
    """The objects of a run."""

    module: PoseModule
    data: PoseDataModule
    skeleton: Skeleton
    files: dict[str, Path]
    tallies: dict[str, Tally]
    lr: float


def effective_lr(optim: DictConfig, batch: int) -> float:
    """The LR for a total batch, from the one stated for the reference batch."""
    ratio = batch / optim.reference_batch
    factors = {"linear": ratio, "sqrt": math.sqrt(ratio), "none": 1.0}
    if optim.rule not in factors:
        raise InputError(f"optim.rule={optim.rule!r} is not one of {list(factors)}")
    return optim.lr * factors[optim.rule]


def build(cfg: DictConfig, train: bool = True) -> Run:
    """All objects of a run; ``train=False`` leaves out what only training needs."""
    skeleton = skeleton_of(cfg)
    net, codec = build_net(cfg, skeleton)
    wanted = boxes_of(cfg)
    root = root_of(cfg)
    tallies = {name: Tally() for name in (*(["train"] if train else []), *wanted)}
    evaluation = {
        boxes: dataset_of(
            cfg, instances_of(cfg, "val", skeleton, root, boxes, tallies[boxes])[: cfg.trainer.limit], skeleton
        )
        for boxes in wanted
    }
    training = None
    if train:
        persons = instances_of(cfg, "train", skeleton, root, tally=tallies["train"])[: cfg.trainer.limit]
        training = dataset_of(cfg, persons, skeleton, make(cfg.augment))
    lr = effective_lr(cfg.optim, cfg.trainer.batch)
    module = PoseModule(
        net,
        codec,
        skeleton.flip_perm(),
        {
            boxes: partial(
                metric_of, cfg, evaluation[boxes].instances, skeleton, root, codec.deviations.score_threshold
            )
            for boxes in wanted
        },
        cfg.readouts,
        make(cfg.optim.optimizer, lr=lr),
        make(cfg.optim.schedule),
        cfg.flip_test,
        cfg.seed,
    )
    # Configurations written before this key existed lack it.
    drop_last = cfg.trainer.get("drop_last", True)
    data = PoseDataModule(training, evaluation, cfg.trainer.batch, cfg.seed, cfg.trainer.workers, drop_last)
    return Run(module, data, skeleton, files_of(cfg, root), tallies, lr)
