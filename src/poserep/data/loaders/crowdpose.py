"""The loader of CrowdPose (Li et al. 2019): 14 joints of people who cover each other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poserep.data.json_fields import Box, Invalid
from poserep.data.listed_images import ImageEntry
from poserep.data.loaders.coco import CocoLoader
from poserep.instances import BOX_COVER, Instance
from poserep.skeleton import Skeleton


def load_crowdpose(
    annotations: str | Path,
    images: str | Path,
    skeleton: Skeleton,
    detections: str | Path | None = None,
    **options: Any,
) -> list[Instance]:
    """Read persons from CrowdPose's files, which differ from COCO's in four things.

    The head may be called ``top_head``. Persons with only the head or neck labelled have ``num_keypoints`` 0 there, and
    are left out: the evaluation ignores them. There are no areas: a person's is 0.53 of the annotated box, as in the
    evaluation of ``crowdposetools``. An early release exchanges the widths and heights of images: where an image file
    exists, its header decides.

    The arguments, ``options`` among them, and errors are those of `load_coco`; an image file of another size than the
    annotations say is an error too. The files are ``mmpose_crowdpose_*.json`` or ``crowdpose_*.json``, and for detected
    boxes such as ``det_for_crowd_test_0.1_0.5.json`` of YOLOv3.
    """
    return CrowdPoseLoader(annotations, images, skeleton, **options).load(detections)


class CrowdPoseLoader(CocoLoader):
    """CrowdPose's differences, see `load_crowdpose`."""

    def area(self, annotation: Mapping[str, Any], box: Box) -> float:
        """Return 0.53 of the box, square px; see `CocoLoader.area`."""
        return BOX_COVER * max(0.0, box[2]) * max(0.0, box[3])

    def ignored(self, annotation: Mapping[str, Any]) -> bool:
        """Tell whether ``num_keypoints``, which counts neither head nor neck, is 0; see `CocoLoader.ignored`."""
        return annotation.get("num_keypoints") == 0

    def size(self, entry: ImageEntry) -> tuple[float, float]:
        """Return an image's width and height, px, exchanged if its file has them so; refuse any other size."""
        from PIL import Image  # here, as most commands need no images

        width, height = super().size(entry)
        try:
            with Image.open(entry.path) as image:
                stored = image.size
        # Whoever decodes the pixels reports what is wrong with the file.
        except (OSError, ValueError, Image.DecompressionBombError):
            return width, height
        if stored == (height, width) != (width, height):
            self.tally.mended["image sizes exchanged"] += 1
        elif stored != (width, height):
            raise Invalid(
                "on images of another size",
                f"is on {entry.path}, which is {stored[0]} px wide and {stored[1]} high where the annotations say "
                f"{width:g} and {height:g}",
                "take the data set's own image",
            )
        return stored
