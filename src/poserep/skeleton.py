"""Skeletons: a data set's joints by name, their mirror pairs, limbs and OKS sigmas; positions are derived."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import yaml

from poserep.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

# Names that files give to keypoints of a skeleton; some of CrowdPose's releases call the head top_head.
ALIASES = {"top_head": "head"}


def plain_joint(name: str) -> str:
    """Return the name by which joints of two skeletons are the same: lower case, words joined by _, without alias."""
    plain = "_".join(name.lower().replace("-", " ").replace("_", " ").split())
    return ALIASES.get(plain, plain)


@dataclass(frozen=True)
class Skeleton:
    """The joints of a data set.

    Names that repeat, a joint in two pairs and missing sigmas are an `InputError`, which says how to fix it.

    Attributes:
        name: Name in messages and records.
        names: Keypoints in the order of the annotation files.
        pairs: (left, right) keypoints that exchange roles when the image is mirrored.
        edges: Limbs, pairs of keypoints, for drawing.
        sigmas: OKS constant of each keypoint, k_i / 2 in COCO's terms.
        upper: Keypoints of the upper body, for half-body augmentation; the others are the lower body.
    """

    name: str
    names: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    edges: tuple[tuple[str, str], ...]
    sigmas: tuple[float, ...]
    upper: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = f"skeleton {self.name!r}"
        if len(set(self.names)) != len(self.names) or not self.names:
            raise InputError(f"{where}: keypoint names must exist and differ, got {list(self.names)}")
        for label, groups in (("pairs", self.pairs), ("edges", self.edges), ("upper", (self.upper,))):
            unknown = sorted({n for group in groups for n in group} - set(self.names))
            if unknown:
                raise InputError(f"{where}: {label} names {unknown}, which are no keypoints; there are {self.names}")
        paired = [n for pair in self.pairs for n in pair]
        twice = sorted({n for n in paired if paired.count(n) > 1})
        if twice or any(len(pair) != 2 for pair in self.pairs):
            raise InputError(
                f"{where}: pairs are no involution: {twice or self.pairs} must each stand in exactly one pair "
                "[left, right]; leave joints on the body's axis out of `pairs`"
            )
        if len(self.sigmas) != len(self.names):
            raise InputError(
                f"{where}: {len(self.sigmas)} sigmas for {len(self.names)} keypoints; give one OKS sigma for each, "
                "for example the value of the nearest COCO joint (hip .107, wrist .062)"
            )
        bad = [n for n, s in zip(self.names, self.sigmas, strict=True) if not s > 0]
        if bad:
            raise InputError(f"{where}: sigmas of {bad} are not positive")

    @classmethod
    def from_category(cls, category: Mapping[str, Any]) -> Self:
        """Build a skeleton from a COCO-style category with the fields that COCO leaves to code.

        Args:
            category: ``keypoints`` (list of names, which may be numbers); ``pairs`` (lists of two names); ``sigmas``
                (list in keypoint order, or a mapping from name to value); optional ``skeleton`` (1-based index pairs,
                as in COCO files) or ``edges`` (name pairs); optional ``upper`` (names) and ``name``.
        """
        name = str(category.get("name", "custom"))
        if not category.get("keypoints"):
            raise InputError(f"skeleton {name!r} has no `keypoints`: list the joint names in annotation order")
        names = _named(category["keypoints"])
        for key, remedy in (
            ("sigmas", "one OKS sigma per keypoint (list, or mapping from name)"),
            ("pairs", "the left/right pairs that a mirror exchanges ([] if there are none)"),
        ):
            if category.get(key) is None:
                raise InputError(f"skeleton {name!r} has no `{key}`: add {remedy}")
        sigmas = category["sigmas"]
        if isinstance(sigmas, Mapping):
            sigmas = {str(n): sigma for n, sigma in sigmas.items()}
            missing = [n for n in names if n not in sigmas]
            if missing or len(sigmas) > len(names):
                unknown = [n for n in sigmas if n not in names]
                raise InputError(f"skeleton {name!r}: sigmas lack {missing} and name unknown {unknown}")
            sigmas = [sigmas[n] for n in names]
        edges = category.get("edges")
        if edges is None:
            limbs = [tuple(edge) for edge in category.get("skeleton", ())]
            wrong = [edge for edge in limbs if not all(1 <= j <= len(names) for j in edge)]
            if wrong:
                raise InputError(f"skeleton {name!r}: limbs {wrong} are outside 1..{len(names)}")
            edges = [(names[i - 1], names[j - 1]) for i, j in limbs]
        return cls(
            name,
            names,
            tuple(_named(pair) for pair in category["pairs"]),
            tuple(_named(edge) for edge in edges),
            tuple(float(s) for s in sigmas),
            _named(category.get("upper", ())),
        )

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a skeleton from a YAML or JSON file that holds one category, see `from_category`."""
        path = Path(path)
        if not path.is_file():
            raise InputError(f"skeleton file {path} does not exist")
        text = path.read_text()
        try:
            category = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        except (ValueError, yaml.YAMLError) as error:
            raise InputError(f"skeleton file {path} cannot be parsed: {error}") from error
        if not isinstance(category, Mapping):
            raise InputError(f"skeleton file {path} must hold one mapping with `keypoints`, `pairs`, `sigmas`")
        return cls.from_category({"name": path.stem, **category})

    @property
    def num_keypoints(self) -> int:
        """Return K, the number of keypoints."""
        return len(self.names)

    def flip_perm(self) -> Tensor:
        """Return (K,) int64: for each joint, the one that a mirrored image shows in its place."""
        import torch  # here, as files are read and scored without it

        other = {a: b for a, b in self.pairs} | {b: a for a, b in self.pairs}
        return torch.tensor([self.names.index(other.get(n, n)) for n in self.names])

    def positions(self, names: Iterable[str]) -> list[int]:
        """Return the positions of joints that another skeleton has too, by `plain_joint`."""
        own = [plain_joint(name) for name in self.names]
        return [own.index(plain_joint(name)) for name in names]

    def only(self, names: Collection[str]) -> Skeleton:
        """Return the skeleton of some of its keypoints, in its own order, with the pairs and limbs between them."""
        kept = [(name, sigma) for name, sigma in zip(self.names, self.sigmas, strict=True) if name in names]
        pairs, edges = (
            tuple(g for g in groups if g[0] in names and g[1] in names) for groups in (self.pairs, self.edges)
        )
        named, sigmas = tuple(name for name, _ in kept), tuple(sigma for _, sigma in kept)
        return replace(
            self, names=named, pairs=pairs, edges=edges, sigmas=sigmas, upper=tuple(n for n in self.upper if n in names)
        )

    def edge_indices(self) -> list[tuple[int, int]]:
        """Return the limbs as positions of their two keypoints."""
        return [(self.names.index(a), self.names.index(b)) for a, b in self.edges]

    def upper_mask(self) -> np.ndarray:
        """Return (K,) bool, which keypoints belong to the upper body."""
        return np.array([n in self.upper for n in self.names])


def _named(joints: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(map(str, joints))


# OKS sigmas by part of the body. COCO publishes those of its own joints; other sets have none, and no metric of theirs
# uses any: a joint has the sigma of COCO's nearest.
UPPER_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "arm": 0.079, "elbow": 0.072, "forearm": 0.072,
    "wrist": 0.062, "hand": 0.062, "spine": 0.107, "thorax": 0.079, "neck": 0.079, "upper_neck": 0.079, "head": 0.079,
    "head_top": 0.079,
}  # fmt: skip
LOWER_SIGMAS = {
    "hips": 0.107, "pelvis": 0.107, "hip": 0.107, "up_leg": 0.107, "knee": 0.087, "leg": 0.087, "ankle": 0.089,
    "foot": 0.089, "toe": 0.089,
}  # fmt: skip


def _published(name: str, joints: str, chains: Sequence[str]) -> Skeleton:
    """Return a skeleton whose limbs join neighbours of each chain; pairs, sigmas and upper body follow from names."""
    names, sigmas = tuple(joints.split()), UPPER_SIGMAS | LOWER_SIGMAS
    part = {n: n.removeprefix("left_").removeprefix("right_") for n in names}
    return Skeleton(
        name,
        names,
        tuple((f"left_{p}", f"right_{p}") for p in sigmas if f"left_{p}" in names),
        tuple(pair for chain in chains for pair in pairwise(chain.split())),
        tuple(sigmas[part[n]] for n in names),
        tuple(n for n in names if part[n] in UPPER_SIGMAS),
    )


_BODY = (
    "left_ankle left_knee left_hip", "right_ankle right_knee right_hip", "left_hip right_hip",
    "left_shoulder left_hip", "right_shoulder right_hip", "left_shoulder right_shoulder", "left_shoulder left_elbow",
    "right_shoulder right_elbow", "left_elbow left_wrist", "right_elbow right_wrist",
)  # fmt: skip
_LIMBS = (
    "left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip right_hip left_knee "
    "right_knee left_ankle right_ankle"
)
COCO = _published(
    "coco",
    f"nose left_eye right_eye left_ear right_ear {_LIMBS}",
    (
        *_BODY, "left_eye right_eye", "nose left_eye", "nose right_eye", "left_eye left_ear", "right_eye right_ear",
        "left_ear left_shoulder", "right_ear right_shoulder",
    ),
)  # fmt: skip
MPII = _published(
    "mpii",
    "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top right_wrist "
    "right_elbow right_shoulder left_shoulder left_elbow left_wrist",
    (
        "right_ankle right_knee right_hip pelvis left_hip left_knee left_ankle", "pelvis thorax upper_neck head_top",
        "upper_neck right_shoulder right_elbow right_wrist", "upper_neck left_shoulder left_elbow left_wrist",
    ),
)  # fmt: skip
CROWDPOSE = _published(
    "crowdpose", f"{_LIMBS} head neck", (*_BODY, "head neck", "right_shoulder neck", "left_shoulder neck")
)
HUMAN4D = _published(
    "human4d",
    "hips spine neck head right_arm right_forearm right_hand left_arm left_forearm left_hand right_up_leg right_leg "
    "right_foot right_toe left_up_leg left_leg left_foot left_toe",
    (
        "hips spine neck head", "neck right_arm right_forearm right_hand", "neck left_arm left_forearm left_hand",
        "hips right_up_leg right_leg right_foot right_toe", "hips left_up_leg left_leg left_foot left_toe",
    ),
)  # fmt: skip
