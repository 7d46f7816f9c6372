"""The loader of COCO-format annotations and detections of any skeleton: every record is returned or counted."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from poserep.data.coco_categories import categories_of, detected_categories
from poserep.data.coco_file import DETECTION_FIELDS, read_coco, read_detections
from poserep.data.coco_forms import fields_of_joints
from poserep.data.json_fields import FURTHEST, Box, Invalid, abridged, as_integer, as_number
from poserep.data.listed_images import ImageEntry, ListedImages
from poserep.data.loaders.clip_box import Clip, clip_box
from poserep.data.loaders.person_record import MEND, box_of, keypoints_of, no_area
from poserep.data.units import guess_detections, guess_units
from poserep.errors import InputError, check_choice
from poserep.instances import CocoForm, Instance, Tally
from poserep.skeleton import Skeleton

# Longest side of a box, px, around which no crop can be made any more.
SMALLEST_SIDE = 1e-3
# By which single precision may exceed 1.
ROUNDING_UP = 1e-6
JOINT_BOXES = "set data.boxes=joints to take boxes from joints"


def load_coco(
    annotations: str | Path | Sequence[str | Path],
    images: str | Path,
    skeleton: Skeleton,
    detections: str | Path | None = None,
    skip_invalid: bool = False,
    tally: Tally | None = None,
    clip: Clip = "exact",
    category: int | str | Sequence[int | str] | None = None,
    boxes: str = "annotated",
    fields: Sequence[str] | None = None,
    masks: bool = False,
) -> list[Instance]:
    """Read persons from a COCO-format annotation file.

    With annotated boxes: every person with a labelled keypoint that is no crowd, its box cut to the image. With a
    detection file: every box on the annotation file's images, uncut and without keypoints; the annotation file may then
    be one of test images (``image_info_test-dev2017.json``), which has neither annotations nor keypoints.

    Args:
        annotations: JSON with ``images``, ``annotations`` and ``categories``, or several that are read as one.
        images: Folder that the images' file names are relative to.
        skeleton: The keypoints of the persons' category, in order.
        detections: COCO result file with ``image_id``, ``category_id``, ``bbox``, ``score``; None takes the
            annotated boxes.
        skip_invalid: Leave out persons that cannot be used instead of refusing the file.
        tally: Counts every annotation or detection, as taken or by the reason for which it was left out.
        clip: How annotated boxes are cut: ``exact``, ``none``, or as published code does, which also leaves out persons
            whose annotated area is 0: ``hrnet``, ``dark``. See `clip_box`.
        category: Names or ids of the categories to take, of those that have the skeleton's joints; None: all of them.
        boxes: ``annotated``, or ``joints`` to follow from the labelled joints, see `CocoForm`.
        fields: Fields of an annotation that are joined to its keypoints; None takes ``keypoints``.
        masks: Read the file with the masks of those who are left out, for whoever asks for it next, see `CocoForm`.

    An `InputError` names a file that is missing or malformed, a skeleton that does not fit, and the first person that
    cannot be used, such as one without area or with an image that is not listed.
    """
    loader = CocoLoader(annotations, images, skeleton, skip_invalid, tally, clip, category, boxes, fields, masks)
    return loader.load(detections)


class CocoLoader:
    """Reads the records of one file, see `load_coco`. Subclasses override what a data set does differently."""

    def __init__(
        self,
        annotations: str | Path | Sequence[str | Path],
        images: str | Path,
        skeleton: Skeleton,
        skip_invalid: bool = False,
        tally: Tally | None = None,
        clip: Clip = "exact",
        category: int | str | Sequence[int | str] | None = None,
        boxes: str = "annotated",
        fields: Sequence[str] | None = None,
        masks: bool = False,
    ) -> None:
        check_choice("data.clip", clip, get_args(Clip))
        check_choice("data.boxes", boxes, ("annotated", "joints"))
        self.file = read_coco(annotations, CocoForm(boxes, tuple(fields or ()), masks))
        self.skeleton, self.skip_invalid, self.clip = skeleton, skip_invalid, clip
        self.tally = Tally() if tally is None else tally
        self.images = ListedImages(self.file, Path(images), self.tally)
        self.sizes: dict[int, tuple[float, float]] = {}
        self.ids: set[int] = set()
        self.chosen = category
        self.categories: Mapping[int, str] = {}
        # Of every person taken: box as it stands in the file, and size of the image, px.
        self.given: list[tuple[Box, tuple[float, float]]] = []

    def area(self, annotation: Mapping[str, Any], box: Box) -> float:
        """Return a person's area, square px, or 0 if it is unknown; ``box`` is the annotated one, not cut, image px."""
        if annotation.get("area") is None:
            return 0.0
        area = as_number(annotation["area"], FURTHEST**2)
        if area is None or area < 0:
            raise Invalid("without a valid area", f"has the area {abridged(annotation['area'])}")
        return area

    def ignored(self, annotation: Mapping[str, Any]) -> bool:
        """Tell whether the evaluation ignores a person for another reason than being a crowd or unlabelled."""
        return False

    def size(self, entry: ImageEntry) -> tuple[float, float]:
        """Return the width and height of an image, px, or raise `Invalid` if the annotation file does not say them."""
        width, height = as_number(entry.width, FURTHEST), as_number(entry.height, FURTHEST)
        if width is None or height is None or min(width, height) <= 0:
            raise Invalid(
                "on images without size",
                f"is on image {entry.id}, of which the file has no size: {abridged((entry.width, entry.height))}",
            )
        return width, height

    def load(self, detections: str | Path | None) -> list[Instance]:
        """Return the annotated persons, or the boxes of a detection file, see `load_coco`."""
        path, listed = self.file.path, self.file.annotations
        if detections is None and listed is None:
            raise InputError(f"{path} lists no annotations, as test sets do; give a detection file: data.detections")
        self.categories = categories_of(self.file, self.skeleton, self.chosen, need_keypoints=detections is None)
        if detections is None:
            instances = self._take(listed or (), self._person, self.file.place)
            if self.file.repeated:
                self.tally.mended["annotations that an earlier file has too"] += self.file.repeated
            further = [] if self.file.form.fields else fields_of_joints(listed or ())
            if extra := [field for field in further if field != "keypoints"]:
                self.tally.not_read[f"persons' {', '.join(extra)}, which data.fields joins"] += len(instances)
            lacking = f"{path}: no person with labelled keypoints"
        else:
            records = read_detections(detections)
            annotated, self.categories = self.categories, detected_categories(records, self.categories)
            if self.categories is not annotated:
                self.tally.mended["detections of category 0, the only one"] += len(records)
            if self.images.name_by_numbers(r.get("image_id") for r in records if isinstance(r, dict)):
                self.tally.mended["image ids of detections that are numbers of files"] += len(records)
            instances = self._take(records, self._detection, lambda row, _: f"{detections}: detection {row}")
            ids = " or ".join(map(str, self.categories))
            lacking = f"{detections}: no detection of category {ids} lies on an image of the annotation file"
        if not instances:
            raise InputError(f"{lacking} ({self.tally.line()})")
        boxes, sizes = (np.array(values, np.float64) for values in zip(*self.given, strict=True))
        images = len({i.image_id for i in instances})
        if detections is None:
            xy, labelled = np.stack([i.keypoints for i in instances]), np.stack([i.weight > 0 for i in instances])
            guess = guess_units(boxes, xy, labelled, sizes, images)
        else:
            guess = guess_detections(boxes, sizes, images)
        if guess:
            raise InputError(f"{detections or path}: {guess}")
        return instances

    def _take(
        self, records: Iterable[Any], read: Callable[[int, Any], Instance | str], place: Callable[[int, Any], str]
    ) -> list[Instance]:
        """Read all records; ``read`` returns an instance, or the reason for which a record is left out as a rule.

        ``place`` names the file and a record in messages.
        """
        instances: list[Instance] = []
        for row, record in enumerate(records):
            try:
                if not isinstance(record, dict):
                    raise Invalid("that are no records", f"is no record but {abridged(record)}")
                result = read(row, record)
            except Invalid as error:
                error.leave_out(f"{place(row, record)} ", self.skip_invalid, self.tally)
                continue
            if isinstance(result, str):
                self.tally.left_out[result] += 1
            else:
                instances.append(result)
        self.tally.taken += len(instances)
        return instances

    def _person(self, _: int, annotation: dict[str, Any]) -> Instance | str:
        if "category_id" not in annotation:
            raise Invalid("without category", "has no category_id")
        if as_integer(annotation["category_id"]) not in self.categories:
            return "of other categories"
        crowd = annotation.get("iscrowd", 0)
        if crowd not in (0, 1):
            raise Invalid("without a valid iscrowd", f"has the iscrowd {abridged(crowd)}, neither 0 nor 1")
        if crowd:
            return "crowds"
        if self.ignored(annotation):
            return "that the evaluation ignores"
        keypoints = keypoints_of(annotation, self.skeleton)
        weight = (keypoints[:, 2] > 0).astype(np.float32)
        if not weight.any():
            return "without labelled keypoints"
        entry, box = self.images.find(annotation.get("image_id")), box_of(annotation, JOINT_BOXES)
        if self.file.form.boxes == "joints" and max(box[2:]) == 0:
            return "with a single labelled joint, which gives no box"
        area, published = self.area(annotation, box), self.clip in ("hrnet", "dark")
        if published and annotation.get("area") is not None and area <= 0:
            return "without area by the papers' code"
        if entry.id not in self.sizes and self.clip != "none":
            self.sizes[entry.id] = self.size(entry)
        cut = clip_box(box, *self.sizes.get(entry.id, (0.0, 0.0)), self.clip)
        if cut is None or max(cut[2:]) < SMALLEST_SIDE:
            if published:
                return "without area by the papers' code"
            raise no_area(box, " inside its image", JOINT_BOXES)
        key = as_integer(annotation.get("id"))
        if key is None:
            raise Invalid("without id", "has no id that is a whole number", "number the annotations")
        if key in self.ids:
            raise Invalid("with an id that repeats", "has the id of another annotation", "number the annotations anew")
        self.ids.add(key)
        self.given.append((box, entry.known_size()))
        xy = keypoints[:, :2].astype(np.float32)
        return Instance(entry.path, entry.id, key, np.array(cut), xy, weight, area=area)

    def _detection(self, row: int, detection: dict[str, Any]) -> Instance | str:
        lacking = sorted(DETECTION_FIELDS - detection.keys())
        if lacking:
            raise Invalid("that lack fields", f"has no {lacking}; is it a COCO result file?")
        if as_integer(detection["category_id"]) not in self.categories:
            return "of other categories"
        if detection["image_id"] not in self.images:
            return "on images that are not listed"
        entry, box = self.images.find(detection["image_id"]), box_of(detection, MEND)
        if isinstance(detection["image_id"], str) and detection["image_id"] != str(entry.id):
            self.tally.mended["image ids of detections that are file names"] += 1
        score = as_number(detection["score"])
        if min(box[2:]) <= 0 or max(box[2:]) < SMALLEST_SIDE:
            raise no_area(box, "", MEND)
        if score is None:
            raise Invalid("without score", f"has the score {abridged(detection['score'])}, which is no number")
        if not 0 <= score <= 1 + ROUNDING_UP:
            what = f"has the score {score:g}, by which those of its joints are multiplied"
            raise Invalid("with a score outside [0, 1]", what, "write probabilities")
        joints = self.skeleton.num_keypoints
        unlabelled = np.zeros((joints, 2), np.float32), np.zeros(joints, np.float32)
        self.given.append((box, entry.known_size()))
        return Instance(entry.path, entry.id, row, np.array(box), *unlabelled, score=score)
