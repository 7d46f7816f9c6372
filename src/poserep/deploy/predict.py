"""Find the joints of people in images, draw them, and write them in COCO's result format."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from PIL import Image

from poserep.deploy.box_arguments import BoxRequests
from poserep.deploy.estimators import Estimator
from poserep.deploy.image_poses import ImagePoses, poses_in
from poserep.drawing import paint_people
from poserep.errors import InputError, message
from poserep.files import write_json

EXIF_ORIENTATION = 0x0112


def predict(
    model: Estimator,
    images: Sequence[Path],
    requests: BoxRequests,
    out: Path,
    threshold: float | None = None,
    category: int = 1,
    batch: int = 32,
) -> list[str]:
    """Predict the people of images; write a picture for each image, and keypoints.json.

    They go into the folder ``out``, which is made if missing. Joints whose score does not exceed ``threshold``, the
    model's if None, are drawn hollow. ``category`` is written into keypoints.json, ``batch`` crops are predicted at a
    time. Images and boxes that cannot be used are left out, with a message each; these are returned.

    Raises:
        InputError: If there are boxes, but none on any of the images.
    """
    boxes = [requests.on(path) if requests.given else None for path in images]
    if requests.given and not any(boxes):
        known = ", ".join(list(requests.by_name)[:3]) or "no image"
        raise InputError(
            f"{requests.source} has no box on any of the {len(images)} images; it names {known}: image_id must be the "
            "image's name without ending, or the file must list its images"
        )
    out.mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    errors: list[str] = []
    taken: set[Path] = set()
    for path, of_image in zip(images, boxes, strict=True):
        try:
            people = poses_in(model, path, of_image, batch)
        except InputError as error:
            errors.append(message(error))
            print(f"error: {errors[-1]}", file=sys.stderr)
            continue
        for line in people.errors:
            print(f"error: {line}", file=sys.stderr)
        errors += people.errors
        picture, number = out / f"{path.stem}-pose.jpg", 1
        while picture in taken:
            # Images of one name from several folders.
            number += 1
            picture = out / f"{path.stem}-pose-{number}.jpg"
        taken.add(picture)
        _save(picture, people, model, threshold)
        records += people.results(requests.image_id(path), path.name, category)
        note = "" if of_image != [] else f"; no box in {requests.source}"
        print(f"{picture}: {_persons(len(people.xy))}{note}{_orientation(path)}")
    write_json(out / "keypoints.json", records)
    print(f"{out / 'keypoints.json'}: {_persons(len(records))}")
    return errors


def _persons(count: int) -> str:
    return f"{count} {'person' if count == 1 else 'persons'}"


def _save(path: Path, people: ImagePoses, model: Estimator, threshold: float | None) -> None:
    card = model.card
    limit = card.score_threshold if threshold is None else threshold
    canvas = paint_people(people.pixels, people.xy, people.joint_score, card.skeleton, limit, people.box)
    _, data = cv2.imencode(".jpg", canvas[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 93])
    path.write_bytes(data.tobytes())


def _orientation(path: Path) -> str:
    """Return a note on a photograph that its camera says should be turned."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(EXIF_ORIENTATION, 1) != 1
    except (OSError, ValueError, SyntaxError):
        turned = False
    return "; its EXIF orientation is ignored: turn the pixels if people lie on their side" if turned else ""
