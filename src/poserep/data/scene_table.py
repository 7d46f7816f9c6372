"""Scenes, images with all their people, as flat arrays, and the region of each that annotations leave open."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from poserep.data.coco_file import CocoFile
from poserep.data.json_fields import Invalid, abridged, as_integer
from poserep.data.listed_images import ImageEntry, ListedImages
from poserep.data.pictures import known_pictures
from poserep.data.rle_masks import decoded, joined, rle_of
from poserep.errors import InputError
from poserep.instances import Instance, InstanceTable, Tally

# Rows of people in the published code, which fails on images with more.
LEAST_ROWS = 30


class SceneRecord(NamedTuple):
    """An image with its people: path, id, width and height (px), persons, and the counts of the mask to ignore."""

    path: Path
    id: int
    width: int
    height: int
    people: Sequence[Instance]
    ignored: bytes


class SceneTable:
    """Images with their people, kept as flat arrays, whose memory forked loader processes share.

    ``joints`` is the number of keypoints where nobody is annotated, as on test images; else scenes without any person
    are an `InputError`.

    Attributes:
        image_id: (N,) int64.
        size: (N, 2) int64, width and height of the images, px.
        persons: The persons of all images, in the order of these.
        first: (N + 1,) int64, position in ``persons`` where each image's begin.
    """

    def __init__(self, scenes: Iterable[SceneRecord], joints: int | None = None) -> None:
        given = list(scenes)
        self._paths = np.array([str(scene.path).encode() for scene in given])
        self.image_id = np.array([scene.id for scene in given], np.int64)
        self.size = np.array([(scene.width, scene.height) for scene in given], np.int64).reshape(-1, 2)
        self.first = _offsets([len(scene.people) for scene in given])
        self.persons = InstanceTable((person for scene in given for person in scene.people), joints)
        self._counts = np.frombuffer(b"".join(scene.ignored for scene in given), np.uint8)
        self._counts_first = _offsets([len(scene.ignored) for scene in given])

    def __len__(self) -> int:
        return len(self._paths)

    def path(self, index: int) -> Path:
        """Return the path of an image."""
        return Path(self._paths[index].decode())

    def labels(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the keypoints (P, K, 2), image px, of an image's P persons and their weights (P, K), both float32."""
        rows = slice(self.first[index], self.first[index + 1])
        return self.persons.keypoints[rows], self.persons.weight[rows]

    def learnable(self, index: int) -> np.ndarray:
        """Return (H, W) uint8, 0 where an image shows crowds or people without labelled keypoints, else 255."""
        rows = slice(self._counts_first[index], self._counts_first[index + 1])
        width, height = self.size[index].tolist()
        return 255 - 255 * decoded(self._counts[rows].tobytes(), width, height)

    @property
    def rows(self) -> int:
        """The number of rows that hold the people of any image, at least 30 as in the published code."""
        return max(LEAST_ROWS, int(np.diff(self.first).max()))


def scenes_of(
    file: CocoFile,
    folder: Path,
    persons: Sequence[Instance],
    training: bool,
    tally: Tally,
    skip_invalid: bool = False,
    limit: int | None = None,
    joints: int | None = None,
) -> SceneTable:
    """Return the images of an annotation file with all their people.

    All annotations of the persons' categories count. Training has every image with one of them, evaluation all that
    the file lists. Nobody must be learnt where annotations do not say where joints are: the mask of an image leaves out
    crowds and all annotated people that are not among ``persons``, as a rule since no keypoint is labelled. A crowd
    with keypoints is left out too, where the published code also takes it for a person. Those without a mask are left
    out by their box, and counted.

    Args:
        file: The annotation file, read with ``CocoForm.masks``.
        folder: Folder that the images' file names are relative to.
        persons: Those that its loader returns.
        training: Whether the images are those of training.
        tally: That of the loader, which also says whether the file exchanges widths and heights.
        skip_invalid: Leave out what cannot be read instead of refusing the file.
        limit: Take the first images alone.
        joints: The number of keypoints if nobody is annotated, as on test images.

    A mask that cannot be read, an image without a size, and images without any person, are an `InputError`.
    """
    own, people = {person.id for person in persons}, defaultdict[int, list[Instance]](list)
    for person in persons:
        people[person.image_id].append(person)
    images = ListedImages(file, folder, Tally())
    annotated = list(_annotations(file, own, images))
    unlearnt = defaultdict[int, list[tuple[str, Mapping[str, Any]]]](list)
    for key, place, record in annotated:
        if record.get("iscrowd") or as_integer(record.get("id")) not in own:
            unlearnt[key].append((place, record))
    with_people = {key for key, _, _ in annotated}
    listed = [key for key in images.by_id if key in with_people or not training][:limit]
    sizes: dict[Path, tuple[int, int]] = {}
    if tally.mended["image sizes exchanged"]:
        entries = [entry for key in listed if (entry := images.by_id[key])]
        sizes = {path: p.size("stored") for path, p in known_pictures(folder, (e.path for e in entries)).items()}
    scenes = []
    for key in listed:
        try:
            entry = images.find(key)
            width, height = _size(entry, sizes.get(entry.path))
        except Invalid as error:
            error.leave_out(f"{file.path}: a scene ", skip_invalid, tally, "images", max(1, len(people[key])))
            tally.taken -= len(people[key])
            continue
        ignored = joined(_masks(unlearnt[key], width, height, skip_invalid, tally))
        scenes.append(SceneRecord(entry.path, key, width, height, people[key], ignored))
    if joints is None and not any(scene.people for scene in scenes):
        raise InputError(f"{file.path}: nobody with labelled keypoints on its {len(scenes)} images ({tally.line()})")
    return SceneTable(scenes, joints)


def _offsets(lengths: Sequence[int]) -> np.ndarray:
    return np.cumsum([0, *lengths], dtype=np.int64)


def _annotations(file: CocoFile, own: set[int], images: ListedImages) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Yield image, place and record of the annotations of the categories that the persons with ids ``own`` have."""
    records = [(row, record) for row, record in enumerate(file.annotations or ()) if isinstance(record, dict)]
    categories = {as_integer(r.get("category_id")) for _, r in records if as_integer(r.get("id")) in own}
    for row, record in records:
        if as_integer(record.get("category_id")) not in categories:
            continue
        try:
            key = images.id_of(record.get("image_id"))
        except Invalid:
            # An image that is not told apart from another: its persons have been refused or left out.
            continue
        if key is not None:
            yield key, file.place(row, record), record


def _size(entry: ImageEntry, stored: tuple[int, int] | None) -> tuple[int, int]:
    """Return width and height, px, as annotated, or exchanged if they are ``stored`` so in the image's file."""
    width, height = as_integer(entry.width), as_integer(entry.height)
    if width is None or height is None or min(width, height) <= 0:
        what = (
            f"is image {entry.id}, of which the file has no size in whole px: {abridged((entry.width, entry.height))}"
        )
        raise Invalid("on images without size", what, "write its width and height")
    return (height, width) if stored == (height, width) else (width, height)


def _masks(
    unlearnt: Iterable[tuple[str, Mapping[str, Any]]], width: int, height: int, skip_invalid: bool, tally: Tally
) -> Iterator[dict[str, Any]]:
    for place, record in unlearnt:
        try:
            mask, by_box = rle_of(record, width, height)
        except Invalid as error:
            error.leave_out(f"{place} ", skip_invalid, tally, "masks")
            continue
        if by_box:
            what = (
                "not to be learnt, whose box stands for the mask" if mask else "not to be learnt, without mask or box"
            )
            tally.mended[what] += 1
        if mask:
            yield mask
