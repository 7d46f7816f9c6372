"""Find the joints of people in images, draw them, and write them in COCO's result format."""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from poserep.data.check.image_headers import orientation
from poserep.data.dataset import PoseDataset
from poserep.data.image_files import write_jpeg
from poserep.deploy.box_arguments import BoxRequest, BoxRequests
from poserep.deploy.card import READERS
from poserep.deploy.inference import Estimator
from poserep.drawing import as_rgb, paint_people
from poserep.errors import InputError, message
from poserep.files import write_json
from poserep.instances import Instance

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


@dataclass(frozen=True)
class ImagePoses:
    """Predicted poses of the N people in an image.

    ``pixels`` (H, W, 3) are uint8, RGB, to look at; ``box`` (N, 4) is x, y, width, height and ``xy`` (N, K, 2) points
    in image px, with ``joint_score`` (N, K). A person's ``score`` (N,) is the box's times the mean of the joints' above
    the model's threshold, as for AP. ``errors`` are messages about boxes that could not be used.
    """

    pixels: np.ndarray
    box: np.ndarray
    xy: np.ndarray
    joint_score: np.ndarray
    score: np.ndarray
    errors: list[str]

    def results(self, image_id: Any, file_name: str, category: int = 1) -> list[dict[str, Any]]:
        """Return records in COCO's result format."""
        keypoints = np.concatenate([self.xy, self.joint_score[..., None]], -1)
        return [
            {
                "image_id": image_id,
                "file_name": file_name,
                "category_id": category,
                "keypoints": points.ravel().round(3).tolist(),
                "score": float(score),
                "bbox": box.tolist(),
            }
            for points, score, box in zip(keypoints, self.score, self.box, strict=True)
        ]


def poses_in(model: Estimator, path: Path, requests: list[BoxRequest] | None, batch: int = 32) -> ImagePoses:
    """Predict the poses in an image file, ``batch`` crops at a time; no boxes (None) take the whole image for one.

    An image that cannot be read, and boxes for a model of whole images, raise an `InputError`.
    """
    card = model.card
    image = READERS[card.reads](path)
    height, width = image.shape[:2]
    if requests is None:
        requests = [BoxRequest(str(path), [0.0, 0.0, float(width), float(height)])]
    elif card.whole:
        raise InputError(f"model {card.run} was trained on whole images and takes no boxes; leave --boxes out")
    checked, errors = [], []
    for request in requests:
        try:
            checked.append(request.checked(width, height))
        except InputError as error:
            errors.append(f"{path}: {error}")
    boxes = [box for box, _ in checked]
    xy, joint_score = _predict(model, path, image, boxes, batch)
    finite = np.isfinite(xy).all((1, 2)) & np.isfinite(joint_score).all(1)
    errors += [
        f"{path}: {card.run} finds points that are no numbers in box {boxes[i].tolist()}; its weights are not finite, "
        "take another checkpoint"
        for i in np.flatnonzero(~finite)
    ]
    counted = joint_score > card.score_threshold
    mean = (joint_score * counted).sum(1) / np.maximum(counted.sum(1), 1)
    return ImagePoses(
        as_rgb(image.transpose(2, 0, 1) if image.ndim == 3 else image[None]),
        np.array(boxes).reshape(-1, 4)[finite],
        xy[finite],
        joint_score[finite],
        (np.array([score for _, score in checked]) * mean)[finite],
        errors,
    )


def _predict(
    model: Estimator, path: Path, image: np.ndarray, boxes: list[np.ndarray], batch: int
) -> tuple[np.ndarray, np.ndarray]:
    card, joints = model.card, model.card.skeleton.num_keypoints
    if not boxes:
        return np.zeros((0, joints, 2)), np.zeros((0, joints))
    unlabelled = np.zeros((joints, 2), np.float32), np.zeros(joints, np.float32)
    dataset = PoseDataset(
        [Instance(path, 0, i, box, *unlabelled) for i, box in enumerate(boxes)],
        card.skeleton,
        card.size,
        card.align,
        padding=card.padding,
        # The image is read once, not once for every box.
        read=lambda _: image,
        whole=card.whole,
        inclusive=card.inclusive,
    )
    xy, score = [], []
    for crops in DataLoader(dataset, batch, sampler=[(0, i) for i in range(len(boxes))]):
        images = crops.image.flip(1) if card.bgr else crops.image
        points, scores = model.estimate(np.ascontiguousarray(images.numpy()))
        xy.append(crops.crop.to_image(torch.from_numpy(points).double()).numpy())
        score.append(scores)
    return np.concatenate(xy), np.concatenate(score)


def images_given(given: Sequence[Path]) -> list[Path]:
    """Return image files, those of folders in the order of their names; what is neither is an `InputError`."""
    files: list[Path] = []
    for path in given:
        text = str(path)
        if path.is_dir():
            inside = [file for file in sorted(path.iterdir()) if file.suffix.lower() in IMAGE_ENDINGS]
            if not inside:
                raise InputError(f"folder {path} holds no image ({', '.join(IMAGE_ENDINGS)})")
            files += inside
        # A path has one slash where an address has two.
        elif re.match(r"\w+:/", text) and not path.exists():
            raise InputError(f"{text}: addresses are not read; fetch the file and give its path")
        elif text.isdigit() and not path.exists():
            raise InputError(f"{text}: cameras are not read; give photographs")
        elif path.suffix.lower() in VIDEO_ENDINGS:
            raise InputError(f"{path}: videos are not read; take their frames first (ffmpeg -i {path.name} %06d.jpg)")
        else:
            files.append(path)
    return files


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
    time. Images and boxes that cannot be used are left out, with a message each; these are returned. Boxes of which
    none is on any of the images raise an `InputError`. Nothing is written if no image can be read.
    """
    given = requests.everywhere or requests.source
    boxes = [requests.on(path) if given else None for path in images]
    if given and not any(boxes):
        known = ", ".join(list(requests.ids)[:3]) or "no image"
        raise InputError(
            f"{requests.source} has no box on any of the {len(images)} images; it names {known}: image_id must be the "
            "image's name without ending, or the file must list its images"
        )
    records: list[dict[str, Any]] = []
    errors: list[str] = []
    named: Counter[str] = Counter()
    limit = model.card.score_threshold if threshold is None else threshold
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
        # Images of one name may come from several folders.
        named[path.stem] += 1
        number = f"-{named[path.stem]}" if named[path.stem] > 1 else ""
        picture = out / f"{path.stem}-pose{number}.jpg"
        skeleton = model.card.skeleton
        write_jpeg(picture, paint_people(people.pixels, people.xy, people.joint_score, skeleton, limit, people.box))
        records += people.results(requests.image_id(path), path.name, category)
        note = "" if of_image != [] else f"; no box in {requests.source}"
        print(f"{picture}: {_persons(len(people.xy))}{note}{_orientation(path)}")
    if not named:
        return errors
    write_json(out / "keypoints.json", records)
    print(f"{out / 'keypoints.json'}: {_persons(len(records))}")
    return errors


def _persons(count: int) -> str:
    return f"{count} {'person' if count == 1 else 'persons'}"


def _orientation(path: Path) -> str:
    """Return a note on a photograph that its camera says should be turned."""
    with suppress(OSError, ValueError, SyntaxError):
        if orientation(path) != 1:
            return "; its EXIF orientation is ignored: turn the pixels if people lie on their side"
    return ""
