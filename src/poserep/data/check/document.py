"""A split's files as they stand, before a loader has chosen among what is in them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from poserep.data.categories import keypoint_category, person_category
from poserep.data.crowdpose import CrowdPoseFile
from poserep.data.fields import integer, read_json
from poserep.data.pictures import is_name
from poserep.skeleton import Skeleton


@dataclass(frozen=True)
class Document:
    """A COCO-format file. Anything may stand in its records.

    Attributes:
        path: The file.
        folder: That image names are relative to.
        images: The list of that name.
        annotations: Likewise; empty for test images.
        categories: Likewise.
    """

    path: Path
    folder: Path
    images: list[Any]
    annotations: list[Any]
    categories: list[Any]

    @classmethod
    def read(cls, path: Path, folder: Path) -> Self | None:
        """The file's content, or None if it is of another format.

        Raises:
            InputError: If it is missing or no JSON.
        """
        if path.suffix != ".json":
            return None
        data = read_json(path, "annotation file")
        if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in ("images", "categories")):
            return None
        annotations = data.get("annotations")
        if not isinstance(annotations, list):
            annotations = []
        return cls(path, folder, data["images"], annotations, data["categories"])

    def pictures(self) -> dict[int, dict[str, Any]]:
        """The usable records of images by id, the first of each."""
        found: dict[int, dict[str, Any]] = {}
        for record in filter(usable, self.images):
            found.setdefault(int(record["id"]), record)
        return found

    def image(self, record: dict[str, Any]) -> Path:
        """Where the file of an image's record is."""
        return self.folder / record["file_name"]

    def category(self, skeleton: Skeleton) -> Any:
        """The id of the persons' category.

        Raises:
            InputError: If no category has the skeleton's keypoints.
        """
        if not any(isinstance(c, dict) and c.get("keypoints") for c in self.categories):
            return person_category(self.categories, self.path)
        return keypoint_category(self.categories, skeleton, self.path, CrowdPoseFile.aliases)


def usable(record: Any) -> bool:
    """Whether a record of an image has an id and a file name."""
    if not isinstance(record, dict) or integer(record.get("id")) is None:
        return False
    name = record.get("file_name")
    return isinstance(name, str) and is_name(name)
