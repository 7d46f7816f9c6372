"""The joints that predictions and a data set have in common, by name, where one has others or another order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from poserep.config import DictConfig
from poserep.data.coco_categories import categories_of
from poserep.data.coco_file import CocoFile
from poserep.data.from_config import coco_file_of, instances_of, options_of, skeleton_of, split_files
from poserep.errors import InputError
from poserep.instances import Instance, Tally
from poserep.skeleton import Skeleton, plain_joint


@dataclass(frozen=True)
class CommonJoints:
    """The joints on which predictions are compared with the annotations of a data set.

    Attributes:
        skeleton: The joints that both have, in the order and with the sigmas of ``data.skeleton``.
        layout: The joints of persons in the annotation file, in its order.
        predicted: The predicted joints, in their order.
        left_out: Whether one of the three has joints that another lacks.
    """

    skeleton: Skeleton
    layout: Skeleton
    predicted: Skeleton
    left_out: bool = False

    @property
    def outputs(self) -> list[int] | None:
        """The positions of the skeleton's joints among those predicted; None if these are the same."""
        return _places(self.skeleton, self.predicted)

    @property
    def columns(self) -> list[int] | None:
        """The positions of the skeleton's joints in the layout; None if these are the same."""
        return _places(self.skeleton, self.layout)

    @property
    def named(self) -> list[str]:
        """The names of the skeleton's joints if some are left out, else none, as a protocol has them."""
        return list(self.skeleton.names) if self.left_out else []

    @property
    def line(self) -> str:
        """What is left out on either side, or that orders differ, in one line; empty where all is alike."""
        kept = {plain_joint(name) for name in self.skeleton.names}
        sides = (("predictions have", self.predicted), ("data set has", self.layout))
        rest = [(who, [n for n in joints.names if plain_joint(n) not in kept]) for who, joints in sides]
        lost = [f"only the {who} {', '.join(names)}" for who, names in rest if names]
        if lost:
            total = max(self.predicted.num_keypoints, self.layout.num_keypoints)
            return f"{len(kept)} of {total} joints are evaluated, by name; {'; '.join(lost)}"
        same = self.outputs == self.columns
        return "" if same else "the data set has the joints in another order: they are evaluated by name"

    def load(self, cfg: DictConfig, root: Path, boxes: str, tally: Tally | None = None) -> list[Instance]:
        """Return the persons to evaluate, see `instances_of`, with the common joints alone.

        Annotated persons of whom none of these is labelled are counted and left out.
        """
        instances = instances_of(cfg, "val", self.layout, root, boxes, tally)
        columns = self.columns
        if columns is None:
            return instances
        taken = [replace(i, keypoints=i.keypoints[columns], weight=i.weight[columns]) for i in instances]
        kept = [i for i in taken if boxes == "det" or i.weight.any()]
        if tally and len(kept) < len(taken):
            tally.taken -= len(taken) - len(kept)
            tally.left_out["without labelled keypoints in common"] += len(taken) - len(kept)
        if not kept:
            raise InputError(
                f"{split_files(cfg, root)['annotations']}: nobody has a label of the joints in common, "
                f"{', '.join(self.skeleton.names)}"
            )
        return kept


def common_joints(cfg: DictConfig, root: Path, predicted: Skeleton | None = None) -> CommonJoints:
    """Return the joints in common of predictions, ``data.skeleton`` and the annotation file of ``data.val``.

    ``predicted`` are the joints of predictions if they are not those of ``data.skeleton``. None in common is an
    `InputError`.
    """
    wanted = skeleton_of(cfg)
    predicted, layout = predicted or wanted, _layout(cfg, root, wanted)
    shared = {plain_joint(n) for n in predicted.names} & {plain_joint(n) for n in layout.names}
    names = [name for name in wanted.names if plain_joint(name) in shared]
    if not names:
        has = "; ".join(f"{who} {', '.join(joints.names)}" for who, joints in _sides(predicted, wanted, layout))
        raise InputError(
            f"predictions and data={cfg.data.name} have no joint of the same name in common: {has}; rename those "
            "that are the same in data.skeleton and in the annotation file"
        )
    left_out = len(names) < max(joints.num_keypoints for joints in (wanted, layout, predicted))
    skeleton = replace(wanted.only(names), name=f"{wanted.name}, joints in common") if left_out else wanted
    return CommonJoints(skeleton, layout, predicted, left_out)


def _places(joints: Skeleton, others: Skeleton) -> list[int] | None:
    places = others.positions(joints.names)
    return None if places == list(range(others.num_keypoints)) else places


def _sides(predicted: Skeleton, wanted: Skeleton, layout: Skeleton) -> list[tuple[str, Skeleton]]:
    sides = [("predicted are", predicted), ("data.skeleton has", wanted), ("the annotation file has", layout)]
    return sides if layout.names != wanted.names else sides[:2]


def _layout(cfg: DictConfig, root: Path, wanted: Skeleton) -> Skeleton:
    """Return the joints of the annotation file, those of the category that has most of the wanted ones."""
    file, chosen = coco_file_of(cfg, root, "val"), options_of(cfg).get("category")
    if file is None:
        return wanted
    try:
        categories_of(file, wanted, chosen)
        return wanted
    except InputError:
        found = _named_joints(file, {plain_joint(name) for name in wanted.names}, chosen)
    # Only files are read by it, which takes neither sigmas nor pairs.
    return Skeleton(str(file.path), tuple(found), (), (), (1.0,) * len(found)) if found else wanted


def _named_joints(file: CocoFile, wanted: set[str], chosen: Sequence[int | str] | int | str | None) -> list[str]:
    """Return the names of the joints of the category that has most of the wanted ones; none if none has names."""
    asked = [chosen] if isinstance(chosen, int | str) else chosen
    named = [
        [str(name) for name in category["keypoints"]]
        for category in file.categories
        if isinstance(category, dict)
        and isinstance(category.get("keypoints"), list)
        and (asked is None or category.get("id") in asked or category.get("name") in asked)
    ]
    return max(named, key=lambda names: len({plain_joint(name) for name in names} & wanted), default=[])
