"""From a configuration to the objects of a run: derived numbers (channels, bins) are passed, the machine is checked."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from poserep.config import DictConfig, make
from poserep.data.common_joints import CommonJoints, common_joints
from poserep.data.datamodule import PoseDataModule
from poserep.data.from_config import (
    boxes_of,
    dataset_of,
    image_reader,
    instances_of,
    limited_to,
    root_of,
    skeleton_of,
    split_files,
    takes_scenes,
    truth_of,
)
from poserep.data.split_pictures import check_pictures
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.instances import Tally
from poserep.metrics.coco import CocoAP
from poserep.models import PoseNet
from poserep.models.cost import activations
from poserep.skeleton import Skeleton
from poserep.training.learning_rate import effective_lr
from poserep.training.module import PoseModule
from poserep.training.network import build_network

SHARED = Path("/dev/shm")
# Batches that every loader process keeps ready.
READY = 2


@dataclass
class Run:
    """The objects that a configuration describes.

    ``files`` decide who is evaluated, by name, ``tallies`` say what the loaders did with each set; ``lr`` is the
    effective learning rate. ``joints`` are those that are evaluated, of which ``skeleton`` consists.
    """

    cfg: DictConfig
    module: PoseModule
    data: PoseDataModule
    skeleton: Skeleton
    files: dict[str, Path]
    tallies: dict[str, Tally]
    lr: float
    joints: CommonJoints

    def loaded(self) -> dict[str, Any]:
        """Return what the loaders did with each set, as results record it."""
        return {name: tally.record() for name, tally in self.tallies.items()}

    def loading_notes(self) -> list[str]:
        """Return a line for each set of which the loaders left something out or corrected something, and for joints."""
        lines = {"joints": self.joints.line} | {name: tally.line() for name, tally in self.tallies.items()}
        silent = {"joints": ""} | {name: f"{tally.taken} taken" for name, tally in self.tallies.items()}
        return [f"{name}: {line}" for name, line in lines.items() if line != silent[name]]


def build(cfg: DictConfig, train: bool = True, learnt: Skeleton | None = None) -> Run:
    """Make all objects of a run; ``train=False`` leaves out what only training needs.

    ``learnt`` are the joints of the network if it was trained on another skeleton than ``data.skeleton``; it is
    evaluated on the joints that it has in common with the data. Parts of the configuration that do not fit each other,
    and data that are missing or malformed, are an `InputError`.
    """
    skeleton = skeleton_of(cfg)
    learnt = learnt or skeleton
    # Refuses its options before any file is read.
    image_reader(cfg)
    net, codec = build_network(cfg, learnt)
    if train and cfg.trainer.compile:
        net.compile()
    boxes, root = boxes_of(cfg), root_of(cfg)
    # Of whole images the data set takes as many with all their people.
    limit = None if takes_scenes(cfg) else cfg.trainer.limit
    tallies = {name: Tally() for name in (*(["train"] if train else []), *boxes)}
    training = None
    if train:
        persons = instances_of(cfg, "train", skeleton, root, tally=tallies["train"])[:limit]
        training = dataset_of(cfg, persons, skeleton, make(cfg.augment), "train", root, tallies["train"])
        check_pictures(cfg, "train", root, training.paths(), tallies["train"])
    # Last, as only the last file that was parsed is kept, and scoring reads it again.
    joints = CommonJoints(skeleton, skeleton, skeleton) if train else common_joints(cfg, root, learnt)
    evaluation, scorers = {}, {}
    for kind in boxes:
        persons = limited_to(cfg, joints.load(cfg, root, kind, tallies[kind]))
        evaluation[kind] = dataset_of(cfg, persons, joints.skeleton, None, "val", root, tallies[kind])
        check_pictures(cfg, "val", root, evaluation[kind].paths(), tallies[kind])
        truth = truth_of(cfg, evaluation[kind].instances, joints.skeleton, root, joints.layout)
        scorers[kind] = make(cfg.data.metric, truth)
        if takes_scenes(cfg) and not isinstance(scorers[kind], CocoAP):
            raise InputError(
                f"data.metric {type(scorers[kind]).__name__} needs to know whom a prediction is of, and people who are "
                "found in whole images are nobody's; take poserep.metrics.CocoAP or CrowdPoseAP"
            )
    lr = effective_lr(cfg.optim, cfg.trainer.batch)
    optimizer, schedule = make(cfg.optim.optimizer, lr=lr), make(cfg.optim.schedule)
    perm = learnt.flip_perm()
    piece = cfg.trainer.get("micro_batch")
    module = PoseModule(net, codec, perm, scorers, cfg.readouts, optimizer, schedule, cfg.flip_test, cfg.seed, piece)
    module.outputs = slice(None) if joints.outputs is None else joints.outputs
    # Configurations written before this key existed lack it.
    drop_last = cfg.trainer.get("drop_last", True)
    data = PoseDataModule(training, evaluation, cfg.trainer.batch, cfg.seed, cfg.trainer.workers, drop_last)
    size, batch, devices = Size.parse(cfg.input_size), cfg.trainer.batch, cfg.trainer.devices
    # A depth is one float, a colour three bytes.
    check_shared_memory(cfg.trainer.workers, batch, size, 4 if cfg.data.get("pixels") else 3)
    if training:
        check_smallest_batch(net, size, len(training), batch, devices, drop_last, piece)
    return Run(cfg, module, data, joints.skeleton, split_files(cfg, root), tallies, lr, joints)


def check_shared_memory(workers: int, batch: int, size: Size, pixel_bytes: int) -> None:
    """Raise an `InputError` if loader processes cannot hand over their batches for want of shared memory."""
    needed = workers * READY * batch * size.height * size.width * pixel_bytes
    if not SHARED.is_dir() or (free := shutil.disk_usage(SHARED).free) >= needed:
        return
    raise InputError(
        f"{SHARED} has {free / 1e6:.0f} MB free, and trainer.workers={workers} hand over {needed / 1e6:.0f} MB there: "
        "give the container more (docker run --shm-size=8g), or set trainer.workers=0"
    )


def has_batch_norm(net: nn.Module) -> bool:
    """Return whether a network has batch norms."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules())


def check_smallest_batch(
    net: PoseNet, size: Size, persons: int, batch: int, devices: int, drop_last: bool, piece: int | None = None
) -> None:
    """Raise an `InputError` if a step of training, or a ``piece`` of it, has one sample, and a batch norm one value."""
    rest = persons % batch
    smallest = min(batch, persons) if drop_last or not rest else rest
    share = smallest // devices
    one = share % piece == 1 or piece == 1 if piece else share <= 1
    if not one or not has_batch_norm(net):
        return
    try:
        activations(net, 1, size.height, size.width, training=True)
    except ValueError as error:
        where = "the last step of an epoch has" if smallest == rest < batch else "a step on each device has"
        where, other = ("a micro-batch has", ", trainer.micro_batch") if piece else (where, "")
        raise InputError(
            f"{where} one sample, of which a batch norm sees a single value at {size} px; take another trainer.batch"
            f"{other}, a larger input_size, or trainer.drop_last=true"
        ) from error
