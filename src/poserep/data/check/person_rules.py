"""Rules for persons: boxes, areas and keypoints against each other and against the image."""

from collections.abc import Iterator

import numpy as np

from poserep.data.check.findings import Finding, Rule, at
from poserep.data.check.persons import Persons
from poserep.instances import Instance
from poserep.skeleton import Skeleton

# Files round, and count pixels from corner or centre.
SLACK = 1.0
# A mask may touch its rounded box.
LARGER = 1.02

NO_AREA = Rule(
    "box without area inside its image",
    "mend the box, or set data.skip_invalid=true to leave such persons out",
    left_out=True,
)
ACROSS = Rule("box that reaches out of its image", "nothing if that is meant: loaders cut it to the image", error=False)
UNSCALED = Rule(
    "evaluated person without area, by which the metric scales", "add the mask's area, or 0.53 x box width x height"
)
AREA_LARGER = Rule("area larger than its box", "correct area or bbox: an area is that of the mask, in px", error=False)
OUTSIDE = Rule("labelled keypoint outside its image", "correct it, or set its visibility to 0", error=False)
VISIBILITY = Rule(
    "visibility other than 0, 1 or 2", "write 0 unlabelled, 1 hidden, 2 visible; all above 0 count", error=False
)
COUNT = Rule(
    "num_keypoints that differs from the labels",
    "count the visibilities above 0: evaluation passes over persons with num_keypoints 0",
    error=False,
)


def boxes(persons: Persons, cut: bool) -> Iterator[Finding]:
    """Boxes of labelled persons that have nothing in the image, or reach out of it by more than a pixel.

    Args:
        persons: See `Persons`.
        cut: Boxes are annotated and must lie inside; those that follow from centre and scale need not.
    """
    labelled = persons.labelled.any(1)
    # What is not known cannot be left.
    size = np.where(np.isnan(persons.size), np.inf, persons.size)
    first, last = persons.box[:, :2], persons.box[:, :2] + persons.box[:, 2:]
    inside = np.minimum(last, size) - np.maximum(first, 0)
    empty = labelled & ((persons.box[:, 2:] <= 0) | (inside <= 0)).any(1)

    def value(i: int) -> str:
        return f"{_rounded(persons.box[i])}{_of(persons, i)}"

    yield from at(NO_AREA, empty, persons.where, value)
    across = ((first < -SLACK) | (last > size + SLACK)).any(1)
    yield from at(ACROSS, cut & labelled & across & ~empty, persons.where, value)


def areas(persons: Persons) -> Iterator[Finding]:
    """Areas that are larger than what contains them, if that has any."""
    box = persons.box[:, 2:].prod(1)
    some = persons.labelled.any(1) & (persons.box[:, 2:] > 0).all(1)
    larger = some & (persons.area > LARGER * box + 1)
    yield from at(AREA_LARGER, larger, persons.where, lambda i: f"area {persons.area[i]:g}, box {box[i]:g}")


def unscaled(instances: list[Instance]) -> Iterator[Finding]:
    """Evaluated persons whose distances cannot be scaled, as their area is zero or unknown."""
    for person in instances:
        if not person.area > 0 and (person.weight > 0).any():
            yield Finding(UNSCALED, f"annotation {person.id} on {person.image.name}", f"area {person.area:g}")


def keypoints(persons: Persons, skeleton: Skeleton) -> Iterator[Finding]:
    """Labelled joints outside the image by more than a pixel, and visibilities that mean nothing."""
    xy, visibility = persons.keypoints[..., :2], persons.keypoints[..., 2]
    size = np.where(np.isnan(persons.size), np.inf, persons.size)[:, None]
    outside: np.ndarray = persons.labelled & ((xy < -SLACK) | (xy > size - 1 + SLACK)).any(-1)

    def places(i: int) -> str:
        joints = np.flatnonzero(outside[i])
        return ", ".join(f"{skeleton.names[j]} {_rounded(xy[i, j])}" for j in joints[:3]) + _of(persons, i)

    yield from at(OUTSIDE, outside.any(1), persons.where, places)
    strange: np.ndarray = ~np.isin(visibility, (0, 1, 2))

    def values(i: int) -> str:
        return ", ".join(f"{skeleton.names[j]} {visibility[i, j]:g}" for j in np.flatnonzero(strange[i])[:3])

    yield from at(VISIBILITY, strange.any(1), persons.where, values)


def counts(persons: Persons, skeleton: Skeleton) -> Iterator[Finding]:
    """Files whose ``num_keypoints`` is not the number of labelled joints.

    CrowdPose's counts joints that have a left and a right, and so neither head nor neck; a file that does so
    throughout is as it should be.
    """
    known = ~np.isnan(persons.counted)
    labelled = persons.labelled.sum(1)
    paired = {name for pair in skeleton.pairs for name in pair}
    sided = persons.labelled[:, [name in paired for name in skeleton.names]].sum(1)
    wrong = known & (persons.counted != labelled)
    if (persons.counted[known] == sided[known]).all():
        return
    yield from at(COUNT, wrong, persons.where, lambda i: f"{persons.counted[i]:g}, labelled are {labelled[i]}")


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(v), 2) for v in values]


def _of(persons: Persons, i: int) -> str:
    width, height = persons.size[i]
    return "" if np.isnan(width) else f" in {width:g}x{height:g} px"
