"""A person as every loader returns it, the tally, the table that workers share, and the truth of an evaluation."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from poserep.errors import InputError
from poserep.geometry import Size
from poserep.skeleton import Skeleton

# Area of a person as a share of its box where no mask is annotated, as in CrowdPose's evaluation.
BOX_COVER = 0.53
# Kinds of boxes that have annotated persons: their own boxes, or ``scene``, whole images in which people are found.
ANNOTATED = ("gt", "scene")
# Why loaders leave annotations out as a rule, which says nothing about a set.
USUALLY_LEFT_OUT = frozenset(("crowds", "without labelled keypoints", "that the evaluation ignores"))


class CocoForm(NamedTuple):
    """How the records of a file in COCO's format are taken.

    ``boxes`` are ``annotated``, or ``joints`` to take for every person's box that of its labelled joints, an eighth of
    its longer side larger on each side. ``fields`` are joined to one list of keypoints, as the five of COCO-WholeBody;
    without any it is ``keypoints``. ``masks`` keeps the segmentation of crowds and of people without labelled
    keypoints, the only ones that anything needs; all others are dropped.
    """

    boxes: str = "annotated"
    fields: tuple[str, ...] = ()
    masks: bool = False


PLAIN = CocoForm()


@dataclass(frozen=True, slots=True)
class Instance:
    """One person of an image: its box and, if annotated, its keypoints.

    Attributes:
        image: Path of the image file.
        image_id: The image's id in the annotation file.
        id: Id of the annotation, or position of a detection in its file.
        box: (4,) x, y, width, height in image px, annotated or detected.
        keypoints: (K, 2) float32, image px.
        weight: (K,) float32, 0 where unlabelled, else 1.
        score: Score of the box: the detector's, 1 for annotations.
        area: Annotated area, as a rule the mask's, square px; 0 if unknown, as for detections.
        head: Head length by which PCKh measures, image px; 0 if unknown.
    """

    image: Path
    image_id: int
    id: int
    box: np.ndarray
    keypoints: np.ndarray
    weight: np.ndarray
    score: float = 1.0
    area: float = 0.0
    head: float = 0.0


class InvalidRecord(NamedTuple):
    """A record that cannot be used: the reason by which it is counted, a sentence with its place, and a remedy."""

    reason: str
    sentence: str
    remedy: str


@dataclass
class Tally:
    """Counts of a loader: persons returned, those left out by reason, defects put right, and persons with more labels.

    ``not_read`` has the numbers of persons who have labels that nothing reads, by their fields. ``invalid`` lists those
    left out because ``data.skip_invalid`` is set.
    """

    taken: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    not_read: Counter[str] = field(default_factory=Counter)
    invalid: list[InvalidRecord] = field(default_factory=list, compare=False)

    def record(self) -> dict[str, Any]:
        """Return the counts as a result file holds them."""
        counters = {"left_out": self.left_out, "mended": self.mended, "not_read": self.not_read}
        return {"taken": self.taken, **{name: dict(counter) for name, counter in counters.items()}}

    def line(self) -> str:
        """Return the counts in one line."""
        parts = [f"{self.taken} taken"]
        for title, counter in (("left out", self.left_out), ("mended", self.mended), ("not read", self.not_read)):
            if counter:
                parts.append(f"{title}: " + ", ".join(f"{count} {reason}" for reason, count in sorted(counter.items())))
        return "; ".join(parts)


def unusual_losses(left_out: Mapping[str, int]) -> dict[str, int]:
    """Return the counts of a loader's tally of persons left out, without those that every set is meant to leave out."""
    return {reason: count for reason, count in left_out.items() if reason not in USUALLY_LEFT_OUT}


class InstanceTable(Sequence[Instance]):
    """A sequence of instances kept as flat arrays, whose memory forked loader processes share.

    A list of Python objects would be copied into every worker page by page, as reading an object writes its reference
    count. Each `Instance` is made when it is asked for. No instances, but where ``joints`` says how many keypoints they
    would have, and such that differ in their number of keypoints, are an `InputError`.
    """

    def __init__(self, instances: Iterable[Instance], joints: int | None = None) -> None:
        given = list(instances)
        if not given and joints is None:
            raise InputError("no persons: a data set needs at least one")
        shapes = {i.keypoints.shape for i in given}
        if len(shapes) > 1:
            raise InputError(f"persons of one data set differ in their keypoints: shapes {sorted(shapes)}")
        count = next(iter(shapes), (joints or 0,))[0]
        self._paths = np.array([str(i.image).encode() for i in given])
        self.image_id = np.array([i.image_id for i in given], np.int64)
        self.id = np.array([i.id for i in given], np.int64)
        self.box = np.array([i.box for i in given], np.float64).reshape(-1, 4)
        self.keypoints = np.array([i.keypoints for i in given], np.float32).reshape(-1, count, 2)
        self.weight = np.array([i.weight for i in given], np.float32).reshape(-1, count)
        self.score = np.array([i.score for i in given], np.float64)
        self.area = np.array([i.area for i in given], np.float64)
        self.head = np.array([i.head for i in given], np.float64)

    @classmethod
    def of(cls, instances: Sequence[Instance]) -> "InstanceTable":
        """Return the instances as a table; a table is returned as it is."""
        return instances if isinstance(instances, cls) else cls(instances)

    def __len__(self) -> int:
        return len(self._paths)

    def path(self, index: int) -> Path:
        """Return the path of an instance's image."""
        return Path(self._paths[index].decode())

    @overload
    def __getitem__(self, index: int) -> Instance: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Instance]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i, columns = int(index), (self.image_id, self.id, self.score, self.area, self.head)
        image_id, key, *numbers = (column[i].item() for column in columns)
        return Instance(self.path(i), image_id, key, self.box[i], self.keypoints[i], self.weight[i], *numbers)


class Truth:
    """What predictions are scored against.

    Args:
        instances: What predictions are made for; their ``index`` is a position in it.
        skeleton: The joints of the instances.
        annotations: The file, or files, that the instances were read from; some metrics need all of it.
        size: Size of the network's input.
        padding: Factor by which the crops are larger than the boxes.
        category: Names or ids of the categories that count, where a file has several with these joints; None: all.
        form: How the records of such a file are taken.
        layout: The joints of the persons in that file, where others stand beside the skeleton's or in another order.
        limited: Whether only the images of the instances count, as where no others were looked at.

    Attributes:
        images: Ids of the images that count, None if all of the file's do.
        columns: Positions of the skeleton's joints in the layout.
    """

    def __init__(
        self,
        instances: Sequence[Instance],
        skeleton: Skeleton,
        annotations: str | Path | Sequence[Path],
        size: Size,
        padding: float = 1.25,
        category: Any = None,
        form: CocoForm = PLAIN,
        layout: Skeleton | None = None,
        limited: bool = False,
    ) -> None:
        self.instances, self.skeleton = InstanceTable.of(instances), skeleton
        self.images = frozenset(self.instances.image_id.tolist()) if limited else None
        self.files = (Path(annotations),) if isinstance(annotations, str | Path) else tuple(annotations)
        self.size, self.padding, self.category, self.form = size, padding, category, form
        self.sigmas = np.array(skeleton.sigmas)
        self.layout = layout or skeleton
        self.columns = self.layout.positions(skeleton.names)

    @property
    def annotations(self) -> Path:
        """The file that the instances were read from, the first of several."""
        return self.files[0]

    @property
    def labelled(self) -> np.ndarray:
        """(P, K) bool: which joints are annotated."""
        return self.instances.weight > 0
