"""The rules of a check on persons: their boxes, areas and keypoints, in themselves and against their image."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from poserep.data.check.findings import Finding, Rule, findings_at
from poserep.data.coco_file import CocoFile
from poserep.data.json_fields import FURTHEST, as_box, as_integer, as_keypoints, as_number
from poserep.data.pictures import Picture
from poserep.data.units import held_joints
from poserep.instances import Instance
from poserep.skeleton import Skeleton

# Px by which a point may lie outside: files round, and count pixels from corner or centre.
SLACK = 1.0
# Factor by which an area may exceed its box, whose sides may be rounded.
LARGER = 1.02

BOX_OUTSIDE = Rule("box outside its image", "mend the box, or the centre and scale that it follows from")
ACROSS = Rule("box that reaches out of its image", "nothing if that is meant: loaders cut it to the image", error=False)
UNSCALED = Rule(
    "evaluated person without area, by which the metric scales",
    "add the mask's area, or set data.metric.area=box to take 0.53 x box width x height for everybody",
)
AREA_LARGER = Rule("area larger than its box", "correct area or bbox: an area is that of the mask, in px", error=False)
OUTSIDE = Rule("labelled keypoint outside its image", "correct it, or set its visibility to 0", error=False)
BOX_ELSEWHERE = Rule("box that holds none of its joints", "mend box or joints: crops are cut around boxes")
ORIGIN = Rule(
    "labelled keypoint at 0, 0 or -1, -1", "set its visibility to 0: programs write this for what was not found"
)
VISIBILITY = Rule(
    "visibility between 0, 1 and 2", "write 0 unlabelled, 1 hidden, 2 visible; all above 0 count", error=False
)
NUM_KEYPOINTS = Rule(
    "num_keypoints that differs from the labels",
    "count the visibilities above 0: evaluation passes over persons with num_keypoints 0",
    error=False,
)


def usable_annotations(
    file: CocoFile, images: Container[int | None], categories: Container[int | None], joints: int
) -> list[dict[str, Any]]:
    """Return the categories' annotations that are no crowds and have numbers for box and keypoints."""
    kept = []
    for record in file.annotations or ():
        if not isinstance(record, dict) or record.get("iscrowd"):
            continue
        if as_integer(record.get("category_id")) in categories:
            points = as_keypoints(record.get("keypoints"), joints)
            if points is not None and as_box(record) is not None and as_integer(record.get("image_id")) in images:
                kept.append(record)
    return kept


@dataclass(frozen=True)
class PersonArrays:
    """N persons with K joints: the place of each in its file, and what is annotated.

    Boxes (N, 4) are x, y, width, height in image px; keypoints (N, K, 3) x, y in image px, visibility. Areas (N,),
    square px, and numbers of labelled joints ``counted`` (N,) are NaN if there are none. ``size`` (N, 2) is the width
    and height of the image, px; infinite if unknown.
    """

    where: list[str]
    box: np.ndarray
    keypoints: np.ndarray
    area: np.ndarray
    counted: np.ndarray
    size: np.ndarray

    @property
    def labelled(self) -> np.ndarray:
        """(N, K) bool."""
        return self.keypoints[..., 2] > 0

    @classmethod
    def of_records(cls, records: Sequence[dict[str, Any]], images: Mapping[int, dict[str, Any]], joints: int) -> Self:
        """Return annotations whose fields `usable_annotations` accepts; sizes are those of the file's images."""

        def values(rows: Sequence[dict[str, Any]], key: str) -> np.ndarray:
            return np.array([as_number(row.get(key), FURTHEST**2) for row in rows], np.float64)

        owners = [images[int(r["image_id"])] for r in records]
        size = np.stack([values(owners, key) for key in ("width", "height")], 1)
        return cls(
            [f"annotation {r.get('id')} on {i['file_name']}" for r, i in zip(records, owners, strict=True)],
            np.array([r["bbox"] for r in records], np.float64).reshape(-1, 4),
            np.array([as_keypoints(r.get("keypoints"), joints) for r in records], np.float64).reshape(-1, joints, 3),
            values(records, "area"),
            values(records, "num_keypoints"),
            np.where(np.isnan(size) | (size == 0), np.inf, size),
        )

    @classmethod
    def of_instances(cls, instances: Sequence[Instance], pictures: Mapping[Path, Picture], joints: int) -> Self:
        """Return the persons of a loader; sizes are those of the image files."""
        unknown = np.full(len(instances), np.nan)
        size = np.array([pictures.get(i.image, Picture())[:2] for i in instances], np.float64).reshape(-1, 2)
        points = [np.concatenate([i.keypoints, 2 * i.weight[:, None]], 1) for i in instances]
        return cls(
            [f"person {i.id} on {i.image.name}" for i in instances],
            np.array([i.box for i in instances], np.float64).reshape(-1, 4),
            np.array(points, np.float64).reshape(-1, joints, 3),
            unknown,
            unknown,
            np.where(size > 0, size, np.inf),
        )

    def image_size(self, i: int) -> str:
        """Return the size of a person's image for a message, if it is known."""
        width, height = self.size[i]
        return f" in {width:g}x{height:g} px" if np.isfinite(width) else ""


def broken_persons(persons: PersonArrays, skeleton: Skeleton, cut: bool) -> Iterator[Finding]:
    """Yield what is wrong with boxes, areas and keypoints.

    Annotated boxes (``cut``) should lie inside the image; those that follow from joints, or from centre and scale, need
    only touch it.
    """
    labelled, sides, where = persons.labelled.any(1), persons.box[:, 2:], persons.where
    first, last = persons.box[:, :2], persons.box[:, :2] + sides
    across = ((first < -SLACK) | (last > persons.size + SLACK)).any(1)
    beyond = (np.minimum(last, persons.size) <= np.maximum(first, 0)).any(1)
    rule, reaching = (ACROSS, across) if cut else (BOX_OUTSIDE, beyond)
    yield from findings_at(
        rule, labelled & reaching, where, lambda i: f"{_rounded(persons.box[i])}{persons.image_size(i)}"
    )
    whole = sides.prod(1)
    larger = labelled & (sides > 0).all(1) & (persons.area > LARGER * whole + 1)
    yield from findings_at(AREA_LARGER, larger, where, lambda i: f"area {persons.area[i]:g}, box {whole[i]:g}")

    xy, visibility = persons.keypoints[..., :2], persons.keypoints[..., 2]
    outside: np.ndarray = persons.labelled & ((xy < -SLACK) | (xy > persons.size[:, None] - 1 + SLACK)).any(-1)
    # Loaders refuse others.
    strange: np.ndarray = (visibility > 0) & (visibility < 2) & (visibility != 1)

    def joints(mask: np.ndarray, i: int, value: np.ndarray) -> str:
        return ", ".join(f"{skeleton.names[j]} {_rounded(value[i, j])}" for j in np.flatnonzero(mask[i])[:3])

    yield from findings_at(OUTSIDE, outside.any(1), where, lambda i: joints(outside, i, xy) + persons.image_size(i))
    origin: np.ndarray = persons.labelled & ((xy == 0).all(-1) | (xy == -1).all(-1))
    yield from findings_at(ORIGIN, origin.any(1), where, lambda i: joints(origin, i, xy))
    apart = (persons.labelled.sum(1) > 2) & (sides > 0).all(1) & (held_joints(persons.box, xy, persons.labelled) == 0)
    yield from findings_at(BOX_ELSEWHERE, apart, where, lambda i: f"{_rounded(persons.box[i])}")
    yield from findings_at(VISIBILITY, strange.any(1), where, lambda i: joints(strange, i, visibility))

    # CrowdPose counts joints that have a left and a right, and so neither head nor neck; a file that does so throughout
    # is as it should be.
    counted, count = persons.counted, persons.labelled.sum(1)
    known = ~np.isnan(counted)
    paired = {name for pair in skeleton.pairs for name in pair}
    sided = persons.labelled[:, [name in paired for name in skeleton.names]].sum(1)
    if (counted[known] != sided[known]).any():
        wrong = known & (counted != count)
        yield from findings_at(NUM_KEYPOINTS, wrong, where, lambda i: f"{counted[i]:g}, labelled are {count[i]}")


def unscaled(instances: Sequence[Instance]) -> Iterator[Finding]:
    """Yield evaluated persons by whose area, zero or unknown, no distance can be scaled."""
    for person in instances:
        if not person.area > 0 and (person.weight > 0).any():
            yield Finding(UNSCALED, f"annotation {person.id} on {person.image.name}", f"area {person.area:g}")


def _rounded(values: np.ndarray) -> list[float] | str:
    return [round(float(v), 2) for v in values] if values.ndim else f"{values:g}"
