"""Which category of a COCO-format file is meant."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from poserep.data.fields import integer
from poserep.errors import InputError
from poserep.skeleton import Skeleton


def keypoint_category(
    categories: Sequence[Any], skeleton: Skeleton, path: Path, aliases: Mapping[str, str] | None = None
) -> int:
    """The id of the category that carries the skeleton's keypoints.

    Raises:
        InputError: If no category has keypoints, or none has the skeleton's.
    """
    rows = [c for c in _usable(categories) if isinstance(c.get("keypoints"), list) and c["keypoints"]]
    if not rows:
        raise InputError(
            f"{path}: no category has keypoints; this is a detection or caption file. For COCO take person_keypoints_*"
        )
    other = aliases or {}
    for candidate in rows:
        names = tuple(str(name) for name in candidate["keypoints"])
        if skeleton.names in (names, tuple(other.get(name, name) for name in names)):
            return candidate["id"]
    found = rows[0]["keypoints"]
    raise InputError(
        f"{path}: its keypoints are not those of skeleton {skeleton.name!r}: {len(found)} in the file {list(found)}, "
        f"{skeleton.num_keypoints} in the skeleton {list(skeleton.names)}; set data.skeleton to the file's keypoints"
    )


def person_category(categories: Sequence[Any], path: Path) -> int:
    """The id of the category ``person`` in a file without keypoints, such as those of test images.

    Raises:
        InputError: If there is none.
    """
    for category in _usable(categories):
        if category.get("name") == "person":
            return category["id"]
    raise InputError(f"{path}: no category has keypoints, and none is called person: whose boxes are they?")


def _usable(categories: Sequence[Any]) -> list[dict[str, Any]]:
    return [c for c in categories if isinstance(c, dict) and integer(c.get("id")) is not None]
