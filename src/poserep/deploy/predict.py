"""Find the joints of people in images, and draw them.

Without boxes each image is one person's. Files of boxes are COCO results (image_id is the image's name without ending),
or objects with images and annotations. Leaves one picture for each image, and keypoints.json in COCO's result format.
Images are read as annotations see them, without EXIF orientation.

example: poserep predict photo.jpg --model dark.onnx --boxes 40,20,120,300
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from PIL import Image

from poserep.cli import parser_of
from poserep.deploy.box_arguments import BoxRequests, read_boxes
from poserep.deploy.estimators import Estimator, open_model
from poserep.deploy.image_poses import ImagePoses, poses_in
from poserep.drawing import paint_people
from poserep.errors import Failed, InputError, message
from poserep.files import write_json
from poserep.training.trainer import quiet

ORIENTATION = 0x0112


def predict(
    model: Estimator,
    images: Sequence[Path],
    requests: BoxRequests,
    out: Path,
    threshold: float | None = None,
    category: int = 1,
    batch: int = 32,
) -> list[str]:
    """Predict, draw and write.

    Args:
        model: Predicts.
        images: Files.
        requests: Boxes.
        out: Folder for pictures and keypoints.json; made if missing.
        threshold: Joints whose score does not exceed it are drawn hollow; None takes the model's.
        category: Written into keypoints.json.
        batch: Crops at a time.

    Returns:
        What went wrong; the other images and boxes are done.

    Raises:
        InputError: If there are boxes, but none on any of the images.
    """
    wanted = [requests.on(path) if requests.given else None for path in images]
    if requests.given and not any(wanted):
        known = ", ".join(list(requests.by_name)[:3]) or "no image"
        raise InputError(
            f"{requests.source} has no box on any of the {len(images)} images; it names {known}: image_id must be the "
            "image's name without ending, or the file must list its images"
        )
    out.mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    errors: list[str] = []
    taken: set[Path] = set()
    for path, boxes in zip(images, wanted, strict=True):
        try:
            found = poses_in(model, path, boxes, batch)
        except InputError as error:
            errors.append(message(error))
            print(f"error: {errors[-1]}", file=sys.stderr)
            continue
        for line in found.errors:
            print(f"error: {line}", file=sys.stderr)
        errors += found.errors
        picture = _free(out, path, taken)
        _save(picture, found, model, threshold)
        records += found.results(requests.image_id(path), path.name, category)
        people = len(found.xy)
        note = "" if boxes != [] else f"; no box in {requests.source}"
        print(f"{picture}: {people} {'person' if people == 1 else 'persons'}{note}{_turned(path)}")
    write_json(out / "keypoints.json", records)
    print(f"{out / 'keypoints.json'}: {len(records)} {'person' if len(records) == 1 else 'persons'}")
    return errors


def _save(path: Path, found: ImagePoses, model: Estimator, threshold: float | None) -> None:
    card = model.card
    limit = card.score_threshold if threshold is None else threshold
    canvas = paint_people(found.pixels, found.xy, found.joint_score, card.skeleton, limit, found.box)
    done, data = cv2.imencode(".jpg", canvas[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 93])
    assert done
    path.write_bytes(data.tobytes())


def _free(out: Path, image: Path, taken: set[Path]) -> Path:
    """Where an image's picture goes; images of one name from several folders are numbered."""
    path, number = out / f"{image.stem}-pose.jpg", 1
    while path in taken:
        number += 1
        path = out / f"{image.stem}-pose-{number}.jpg"
    taken.add(path)
    return path


def _turned(path: Path) -> str:
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(ORIENTATION, 1) != 1
    except (OSError, ValueError, SyntaxError):
        turned = False
    return "; its EXIF orientation is ignored: turn the pixels if people lie on their side" if turned else ""


def parser() -> argparse.ArgumentParser:
    """Of the arguments of ``poserep predict``."""
    parser = parser_of("predict", __doc__)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--model", type=Path, required=True, metavar="RUN_DIR|FILE.onnx")
    parser.add_argument("--boxes", nargs="+", default=[], metavar="FILE.json|x,y,w,h", help="whole image if left out")
    parser.add_argument("--out", type=Path, default=Path("predictions"), metavar="DIR", help="(predictions)")
    parser.add_argument("--checkpoint", metavar="NAME", help="of the run: last (taken if left out), best, calibrated")
    parser.add_argument("--readout", metavar="NAME", help="the run's default one if left out")
    parser.add_argument("--score-threshold", type=float, metavar="S", help="for drawing; the model's if left out")
    parser.add_argument("--category", type=int, default=1, metavar="ID", help="of the boxes that count (1)")
    parser.add_argument("--box-threshold", type=float, default=0.0, metavar="S", help="least score of a box (0)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="(cpu)")
    parser.add_argument("--batch", type=int, default=32, metavar="N", help="crops at a time (32)")
    return parser


def main(arguments: Sequence[str]) -> None:
    """The command ``poserep predict``; fails if an image or a box could not be read."""
    given = parser().parse_args(arguments)
    quiet()
    if given.batch < 1:
        raise InputError(f"--batch {given.batch} is no number of crops: give at least 1")
    requests = read_boxes(given.boxes, given.category, given.box_threshold)
    for note in requests.notes:
        print(f"note: {note}", file=sys.stderr)
    model = open_model(given.model, given.readout, given.checkpoint, given.device)
    errors = predict(model, given.images, requests, given.out, given.score_threshold, given.category, given.batch)
    if errors:
        raise Failed(f"{len(errors)} images or boxes could not be read; the others are done")
