"""One person as every data set is read into, the table in which workers share all of them, and a metric's truth."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np

from poserep.errors import InputError
from poserep.geometry import Size
from poserep.skeleton import Skeleton

# Share of its box that a person's mask covers on average: CrowdPose's rule where nobody has drawn a mask.
BOX_COVER = 0.53


@dataclass(frozen=True, slots=True)
class Instance:
    """One person: where to look, and what is known about it.

    Attributes:
        image: Path of the image file.
        image_id: Of the annotation file.
        id: Of the annotation, or the running number of a detection.
        box: (4,) x, y, width, height in image px; an annotation's, or a detector's.
        keypoints: (K, 2) float32, image px.
        weight: (K,) float32, 0 where unlabelled, else 1.
        score: Of the box: 1 for annotations, the detector's otherwise.
        area: Of the annotation, the person's mask as a rule, square px; 0 if unknown, as for detections.
        head: Length of the head by which PCKh measures, image px; 0 if unknown.
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


@dataclass
class Tally:
    """What a loader did with a file besides reading it, so that no person is lost in silence.

    Attributes:
        taken: Instances returned.
        left_out: Persons or boxes that were not returned, by reason.
        mended: What was put right, by what was wrong.
    """

    taken: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return {"taken": self.taken, "left_out": dict(self.left_out), "mended": dict(self.mended)}

    def line(self) -> str:
        """All of it in one line."""
        parts = [f"{self.taken} taken"]
        for title, counter in (("left out", self.left_out), ("mended", self.mended)):
            if counter:
                parts.append(f"{title}: " + ", ".join(f"{count} {reason}" for reason, count in sorted(counter.items())))
        return "; ".join(parts)


class InstanceTable(Sequence[Instance]):
    """Instances as flat arrays, which forked loader processes share however many they are.

    A list of Python objects would be copied into every worker bit by bit, as reading an object writes its reference
    count. Reads as a sequence of `Instance`, each made when asked for.

    Args:
        instances: All of one skeleton.

    Raises:
        InputError: If there are none, or the numbers of their keypoints differ.
    """

    def __init__(self, instances: Iterable[Instance]) -> None:
        found = list(instances)
        if not found:
            raise InputError("no persons: a data set needs at least one")
        joints = {i.keypoints.shape for i in found}
        if len(joints) > 1:
            raise InputError(f"persons of one data set differ in their keypoints: shapes {sorted(joints)}")
        paths = [str(i.image).encode() for i in found]
        self._paths = np.frombuffer(b"".join(paths), np.uint8)
        self._ends = np.cumsum([len(p) for p in paths])
        self.image_id = np.array([i.image_id for i in found], np.int64)
        self.id = np.array([i.id for i in found], np.int64)
        self.box = np.array([i.box for i in found], np.float64)
        self.keypoints = np.array([i.keypoints for i in found], np.float32)
        self.weight = np.array([i.weight for i in found], np.float32)
        self.score = np.array([i.score for i in found], np.float64)
        self.area = np.array([i.area for i in found], np.float64)
        self.head = np.array([i.head for i in found], np.float64)

    @classmethod
    def of(cls, instances: Sequence[Instance]) -> "InstanceTable":
        """The instances as a table, themselves if they are one."""
        return instances if isinstance(instances, cls) else cls(instances)

    def __len__(self) -> int:
        return len(self._ends)

    def path(self, index: int) -> Path:
        """Of an instance's image."""
        end = int(self._ends[index])
        start = int(self._ends[index - 1]) if index % len(self) else 0
        return Path(self._paths[start:end].tobytes().decode())

    @overload
    def __getitem__(self, index: int) -> Instance: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Instance]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = int(index)
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        return Instance(
            self.path(i),
            int(self.image_id[i]),
            int(self.id[i]),
            self.box[i],
            self.keypoints[i],
            self.weight[i],
            float(self.score[i]),
            float(self.area[i]),
            float(self.head[i]),
        )


class Truth:
    """What predictions are scored against.

    Args:
        instances: What predictions are made for; their ``index`` is a position in it.
        skeleton: Of the instances.
        annotations: The file that the instances were read from; some metrics need all of it.
        size: Of the network's input.
        padding: Factor by which the crops are larger than the boxes.
    """

    def __init__(
        self,
        instances: Sequence[Instance],
        skeleton: Skeleton,
        annotations: str | Path,
        size: Size,
        padding: float = 1.25,
    ) -> None:
        self.instances, self.skeleton, self.annotations = InstanceTable.of(instances), skeleton, Path(annotations)
        self.size, self.padding = size, padding
        self.sigmas = np.array(skeleton.sigmas)

    @property
    def labelled(self) -> np.ndarray:
        """(P, K) bool: which joints are annotated."""
        return self.instances.weight > 0
