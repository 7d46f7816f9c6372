"""Persons of a COCO-format file, one by one, whatever stands in it: each is returned, or counted by a reason."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from poserep.data.boxes import SMALLEST, Box, Clip, check_clip, clip_box
from poserep.data.categories import keypoint_category, person_category
from poserep.data.fields import FURTHEST, Invalid, integer, number, numbers, read_json, shown
from poserep.data.pictures import Picture, Pictures
from poserep.errors import InputError
from poserep.instances import Instance, Tally
from poserep.skeleton import Skeleton


class PersonFile:
    """A COCO-format file. Subclasses know what a data set does otherwise: `aliases`, `area`, `size`.

    Args:
        path: JSON with ``images``, ``categories`` and, unless boxes are detected, ``annotations``.
        folder: That the images' names are relative to.
        skeleton: Must have the category's keypoints, in order.
        skip_invalid: Leave out persons that cannot be used in place of refusing the file.
        tally: Counts every person that is returned or not.
        clip: How annotated boxes are cut to the image, see `clip_box`.

    Attributes:
        aliases: Other names of keypoints that the data set's files have, to the skeleton's.

    Raises:
        InputError: If the file is missing or not COCO format.
    """

    aliases: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        path: str | Path,
        folder: str | Path,
        skeleton: Skeleton,
        skip_invalid: bool = False,
        tally: Tally | None = None,
        clip: Clip = "exact",
    ) -> None:
        check_clip(clip)
        self.path, self.folder, self.skeleton = Path(path), Path(folder), skeleton
        self.skip_invalid, self.clip = skip_invalid, clip
        self.tally = Tally() if tally is None else tally
        data = read_json(self.path, "annotation file")
        if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in ("images", "categories")):
            raise InputError(f"annotation file {self.path} lacks images or categories: is it COCO format?")
        self.annotations, self.categories = data.get("annotations"), data["categories"]
        self.pictures = Pictures(data["images"], self.folder, self.tally)
        self.sizes: dict[int, tuple[float, float]] = {}
        self.ids: set[int] = set()
        self.category: int | None = None

    def area(self, annotation: Mapping[str, Any], box: Box) -> float:
        """Of a person, square px; 0 if unknown.

        Args:
            annotation: As it stands in the file.
            box: x, y, width, height as annotated, not cut, image px.

        Raises:
            Invalid: If there is one that is no area.
        """
        if annotation.get("area") is None:
            return 0.0
        area = number(annotation["area"], FURTHEST**2)
        if area is None or area < 0:
            raise Invalid("with an area that is none", f"has the area {shown(annotation['area'])}")
        return area

    def ignored(self, annotation: Mapping[str, Any]) -> bool:
        """Whether the data set's evaluation ignores a person for more than being a crowd or unlabelled."""
        return False

    def size(self, picture: Picture) -> tuple[float, float]:
        """Width and height of an image, px.

        Raises:
            Invalid: If the file has no size for it.
        """
        width, height = number(picture.width, FURTHEST), number(picture.height, FURTHEST)
        if width is None or height is None or min(width, height) <= 0:
            raise Invalid(
                "on images without size",
                f"is on image {picture.id}, of which the file has no size: {shown((picture.width, picture.height))}",
            )
        return width, height

    def annotated(self) -> list[Instance]:
        """Every labelled person that is no crowd, its box cut to the image.

        Raises:
            InputError: If the file has no annotations, the skeleton does not fit, a person cannot be used and is not to
                be skipped, or nobody is left.
        """
        if not isinstance(self.annotations, list):
            raise InputError(
                f"{self.path} lists no annotations, as test sets do; give a detection file: data.detections"
            )
        self.category = keypoint_category(self.categories, self.skeleton, self.path, self.aliases)
        found = self._take(self.annotations, self._person, f"{self.path}: annotation")
        if not found:
            raise InputError(f"{self.path}: no person with labelled keypoints ({self.tally.line()})")
        return found

    def detected(self, detections: str | Path) -> list[Instance]:
        """Every box of a COCO result file on this file's images, uncut and without keypoints.

        Raises:
            InputError: As `annotated`.
        """
        path = Path(detections)
        if any(isinstance(c, dict) and c.get("keypoints") for c in self.categories):
            self.category = keypoint_category(self.categories, self.skeleton, self.path, self.aliases)
        else:
            self.category = person_category(self.categories, self.path)
        records = read_json(path, "detection file")
        if not isinstance(records, list):
            raise InputError(f"{path} is no list of detections; is it a COCO result file?")
        found = self._take(records, self._box, f"{path}: detection")
        if not found:
            raise InputError(
                f"{path}: no detection of category {self.category} lies on an image of the annotation file "
                f"({self.tally.line()})"
            )
        return found

    def _take(self, records: Iterable[Any], read: Callable[[int, Any], Instance | str], what: str) -> list[Instance]:
        instances: list[Instance] = []
        for row, record in enumerate(records):
            try:
                if not isinstance(record, dict):
                    raise Invalid("that are no records", f"is no record but {shown(record)}")
                found = read(row, record)
            except Invalid as error:
                if not self.skip_invalid:
                    named = record.get("id", row) if isinstance(record, dict) else row
                    raise InputError(
                        f"{what} {shown(named)} {error.message}; {error.remedy}, or set data.skip_invalid=true to "
                        "leave such persons out"
                    ) from None
                found = error.reason
            if isinstance(found, str):
                self.tally.left_out[found] += 1
            else:
                instances.append(found)
        self.tally.taken += len(instances)
        return instances

    def _person(self, _: int, annotation: dict[str, Any]) -> Instance | str:
        if "category_id" not in annotation:
            raise Invalid("without category", "has no category_id")
        if annotation["category_id"] != self.category:
            return "of other categories"
        crowd = annotation.get("iscrowd", 0)
        if crowd not in (0, 1):
            raise Invalid("with an iscrowd that is none", f"has the iscrowd {shown(crowd)}, which is neither 0 nor 1")
        if crowd:
            return "crowds"
        if self.ignored(annotation):
            return "that the evaluation ignores"
        keypoints = self._keypoints(annotation)
        weight = (keypoints[:, 2] > 0).astype(np.float32)
        if not weight.any():
            return "without labelled keypoints"
        picture = self.pictures.find(annotation.get("image_id"))
        box = four(annotation)
        area = self.area(annotation, box)
        published = self.clip in ("hrnet", "dark")
        if published and annotation.get("area") is not None and area <= 0:
            return "without area by the papers' code"
        cut = clip_box(box, *self._size(picture), self.clip)
        if cut is None or max(cut[2:]) < SMALLEST:
            if published:
                return "without area by the papers' code"
            raise no_area(box, " inside its image")
        key = integer(annotation.get("id"))
        if key is None:
            raise Invalid("without id", "has no id that is a whole number", "number the annotations")
        if key in self.ids:
            raise Invalid("with an id that repeats", "has the id of another annotation", "number the annotations anew")
        self.ids.add(key)
        return Instance(
            picture.path, picture.id, key, np.array(cut), keypoints[:, :2].astype(np.float32), weight, area=area
        )

    def _box(self, row: int, detection: dict[str, Any]) -> Instance | str:
        lacking = sorted({"image_id", "category_id", "bbox", "score"} - detection.keys())
        if lacking:
            raise Invalid("that lack fields", f"has no {lacking}; is it a COCO result file?")
        if detection["category_id"] != self.category:
            return "of other categories"
        if detection["image_id"] not in self.pictures:
            return "on images that are not listed"
        picture = self.pictures.find(detection["image_id"])
        box, score = four(detection), number(detection["score"])
        if min(box[2:]) <= 0 or max(box[2:]) < SMALLEST:
            raise no_area(box)
        if score is None:
            raise Invalid("without score", f"has the score {shown(detection['score'])}, which is no number")
        joints = self.skeleton.num_keypoints
        nothing = np.zeros((joints, 2), np.float32), np.zeros(joints, np.float32)
        return Instance(picture.path, picture.id, row, np.array(box), *nothing, score=score)

    def _size(self, picture: Picture) -> tuple[float, float]:
        if self.clip == "none":
            return 0.0, 0.0
        if picture.id not in self.sizes:
            self.sizes[picture.id] = self.size(picture)
        return self.sizes[picture.id]

    def _keypoints(self, annotation: Mapping[str, Any]) -> np.ndarray:
        flat, joints = annotation.get("keypoints", []), self.skeleton.num_keypoints
        if not isinstance(flat, list) or len(flat) != 3 * joints:
            found = f"{len(flat)} keypoint numbers" if isinstance(flat, list) else f"the keypoints {shown(flat)}"
            raise Invalid(
                "with keypoints of another skeleton",
                f"has {found}; skeleton {self.skeleton.name!r} needs 3 for each of its {joints} keypoints",
            )
        values = numbers(flat, FURTHEST)
        if values is None:
            raise Invalid(
                "with keypoints that are no numbers", f"has keypoints that are not finite numbers up to {FURTHEST:g}"
            )
        return values.reshape(-1, 3)


def four(record: Mapping[str, Any]) -> Box:
    """The ``bbox`` of a record.

    Raises:
        Invalid: If it is not x, y, width, height in finite numbers.
    """
    box = numbers(record.get("bbox"), FURTHEST)
    if box is None or len(box) != 4:
        raise Invalid(
            "without a box of four numbers",
            f"has no bbox [x, y, width, height] of finite numbers up to {FURTHEST:g}, but {shown(record.get('bbox'))}",
        )
    x, y, w, h = box.tolist()
    return x, y, w, h


def no_area(box: Box, where: str = "") -> Invalid:
    """The complaint about a box."""
    sides = [round(v, 2) for v in box]
    return Invalid("with a box without area", f"has a box without area{where}, [x, y, w, h] = {sides}")
