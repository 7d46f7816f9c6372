"""CrowdPose: 14 joints of people who cover each other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from poserep.data.boxes import Box, Clip
from poserep.data.fields import Invalid
from poserep.data.persons import PersonFile
from poserep.data.pictures import Picture
from poserep.instances import BOX_COVER, Instance, Tally
from poserep.skeleton import Skeleton


def load_crowdpose(
    annotations: str | Path,
    images: str | Path,
    skeleton: Skeleton,
    detections: str | Path | None = None,
    skip_invalid: bool = False,
    tally: Tally | None = None,
    clip: Clip = "exact",
) -> list[Instance]:
    """Read persons from CrowdPose's files, which are COCO's but for four things.

    The head may be called ``top_head``. Persons with only the head or neck labelled have ``num_keypoints`` 0 there, and
    are left out: the evaluation ignores them. There are no areas: a person's is 0.53 of the annotated box, as in the
    evaluation of ``crowdposetools``. In an early release the widths and heights of images are exchanged: they are held
    against the files' headers, where the files exist, and put right.

    Args:
        annotations: ``mmpose_crowdpose_*.json`` or ``crowdpose_*.json``.
        images: Folder that the files' names are relative to.
        skeleton: `poserep.skeleton.CROWDPOSE`.
        detections: COCO result file, such as ``det_for_crowd_test_0.1_0.5.json`` of YOLOv3; None takes the annotated
            boxes.
        skip_invalid: As in `load_coco`.
        tally: As in `load_coco`; images whose width and height were exchanged are counted as mended.
        clip: As in `load_coco`.

    Raises:
        InputError: As in `load_coco`, and if an image file has another size than the annotations say.
    """
    file = CrowdPoseFile(annotations, images, skeleton, skip_invalid, tally, clip)
    return file.annotated() if detections is None else file.detected(detections)


class CrowdPoseFile(PersonFile):
    """CrowdPose's habits, see `load_crowdpose`."""

    aliases: ClassVar[Mapping[str, str]] = {"top_head": "head"}

    def area(self, annotation: Mapping[str, Any], box: Box) -> float:
        """0.53 of the box, square px; see `PersonFile.area`."""
        return BOX_COVER * max(0.0, box[2]) * max(0.0, box[3])

    def ignored(self, annotation: Mapping[str, Any]) -> bool:
        """Whether ``num_keypoints`` is 0, which counts neither head nor neck; see `PersonFile.ignored`."""
        return annotation.get("num_keypoints") == 0

    def size(self, picture: Picture) -> tuple[float, float]:
        """Width and height of an image, px, by its file if the annotations have them the other way round.

        Raises:
            Invalid: If the annotations have no size, or another one.
        """
        width, height = super().size(picture)
        true = header_size(picture.path)
        if true in (None, (width, height)):
            return width, height
        if true == (height, width):
            self.tally.mended["image sizes exchanged"] += 1
            return height, width
        raise Invalid(
            "on images of another size",
            f"is on {picture.path}, which is {true[0]} px wide and {true[1]} high where the annotations say "
            f"{width:g} and {height:g}",
            "take the data set's own image",
        )


def header_size(path: Path) -> tuple[int, int] | None:
    """Width and height of a file as stored, px, whatever its EXIF orientation; None if it cannot be read."""
    try:
        with Image.open(path) as image:
            return image.size
    # Whoever reads the pixels says what is wrong with a file.
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
