"""COCO-format keypoint annotations and detection files, of any skeleton."""

from pathlib import Path

from poserep.data.boxes import Clip
from poserep.data.persons import PersonFile
from poserep.instances import Instance, Tally
from poserep.skeleton import Skeleton


def load_coco(
    annotations: str | Path,
    images: str | Path,
    skeleton: Skeleton,
    detections: str | Path | None = None,
    skip_invalid: bool = False,
    tally: Tally | None = None,
    clip: Clip = "exact",
) -> list[Instance]:
    """Read persons from a COCO-format annotation file.

    With annotated boxes: every person with a labelled keypoint that is no crowd, its box cut to the image. With a
    detection file: every box of the annotations' images, uncut, without keypoints; the annotation file may then be one
    of test images (``image_info_test-dev2017.json``), which has neither annotations nor keypoints.

    Args:
        annotations: JSON with ``images``, ``annotations`` and ``categories``.
        images: Folder that the files' names are relative to.
        skeleton: Must have the category's keypoints, in order.
        detections: COCO result file with ``image_id``, ``category_id``, ``bbox``, ``score``; None takes the
            annotated boxes.
        skip_invalid: Leave out persons that cannot be used in place of refusing the file.
        tally: Counts every annotation or detection, as taken or by the reason for which it was left out.
        clip: How annotated boxes are cut: ``exact``, ``none``, or as published code does, which also leaves out persons
            whose annotated area is 0: ``hrnet``, ``dark``. See `poserep.data.boxes.clip_box`.

    Raises:
        InputError: If a file is missing or malformed, the skeleton does not fit, nobody is left, or a person cannot be
            used: a box without area, keypoints that are no numbers, an image that is not listed, an id that repeats.
    """
    file = PersonFile(annotations, images, skeleton, skip_invalid, tally, clip)
    return file.annotated() if detections is None else file.detected(detections)
