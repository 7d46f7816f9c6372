"""Draw the synthetic data set in COCO's format, with the boxes of a pretended detector: pictures in parallel."""

import hashlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from poserep.data.image_files import write_jpeg
from poserep.data.synthetic.annotate import PERSON
from poserep.data.synthetic.files import DRAWING_VERSION, once, write_packed
from poserep.data.synthetic.scene import LEVELS, DrawnImage
from poserep.data.synthetic.world import Array, Rng
from poserep.errors import InputError, check_choice

_SPLITS = ("train", "val")
# Sets the detector's random numbers apart from the pictures'.
_DETECTOR = 7919
# Pictures that each process draws before it is seen how many people are still missing, and at a time.
_ROUND, _CHUNK = 24, 4
# About how many people a picture shows.
_PEOPLE = {"easy": 1, "hard": 3, "scenes": 4}

# The lists of a COCO file.
_Content = dict[str, list[dict[str, Any]]]
# The entry of a picture in `images`, and those of its people in `annotations`.
_Record = tuple[dict[str, Any], list[dict[str, Any]]]


def _iou(a: Array, b: Array) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    inner = float(np.prod(np.clip(high - low, 0.0, None)))
    return inner / max(float(a[2] * a[3] + b[2] * b[3]) - inner, 1e-9)


def detect(rng: Rng, image: dict[str, Any], annotations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what a pretended detector finds on an image, with misses, duplicates and false alarms.

    The results are COCO's: boxes near the true ones, whose scores follow their overlap with the truth.
    """
    width, height = image["width"], image["height"]
    results: list[dict[str, Any]] = []

    def report(box: Array, score: float) -> None:
        x0, y0 = np.clip(box[:2], 0.0, [width - 2.0, height - 2.0])
        x1, y1 = np.clip(box[:2] + box[2:], [x0 + 2.0, y0 + 2.0], [width, height])
        sides = [round(float(v), 2) for v in (x0, y0, x1 - x0, y1 - y0)]
        score = round(float(np.clip(score, 0.01, 0.999)), 4)
        results.append({"image_id": image["id"], "category_id": 1, "bbox": sides, "score": score})

    def jitter(truth: Array, noise: float) -> Array:
        step = rng.normal(0.0, noise, 4) * np.tile(truth[2:], 2)
        return np.concatenate([truth[:2] + step[:2] - step[2:] / 2, np.maximum(truth[2:] + step[2:], 2.0)])

    for annotation in annotations:
        truth, labelled = np.array(annotation["bbox"]), annotation["num_keypoints"]
        missed, twice = rng.random(2)
        if missed < (0.03 if labelled else 0.4):
            continue
        box = jitter(truth, 0.05)
        score = 0.15 + 0.85 * _iou(box, truth) + rng.normal(0.0, 0.05)
        report(box, score if labelled else score * 0.6)
        if twice < 0.05:
            second = jitter(truth, 0.12)
            report(second, 0.55 * _iou(second, truth) * rng.uniform(0.5, 1.0))
    for _ in range(max(1, len(annotations))):
        if rng.random() < 0.08:
            size = rng.uniform((0.08, 0.2), (0.35, 0.8)) * (width, height)
            corner = rng.uniform((0.0, 0.0), (width - size[0], height - size[1]))
            report(np.concatenate([corner, size]), rng.beta(1.5, 7.0))
    return results


def _counted(record: _Record) -> int:
    return sum(person["num_keypoints"] > 0 for person in record[1])


@dataclass(frozen=True)
class _Split:
    """One split of the set in ``root``; what is drawn depends on seed, level, split and index alone."""

    root: Path
    level: str
    seed: int
    split: int

    @property
    def images(self) -> Path:
        return self.root / "images" / _SPLITS[self.split]

    def rng(self, index: int, *more: int) -> Rng:
        return np.random.default_rng([self.seed, self.split, index, LEVELS.index(self.level), *more])

    def draw(self, index: int, people: int | None = None) -> _Record:
        drawn = DrawnImage(self.rng(index), self.level, people)
        name, (height, width) = f"{index:06d}.jpg", drawn.image.shape[:2]
        write_jpeg(self.images / name, drawn.image, drawn.quality)
        entry = {"id": index + 1, "file_name": name, "width": width, "height": height}
        annotations = list(drawn.view.people.values())
        if self.level != "scenes":
            # The older levels' files have never had masks, and keep their bytes.
            for annotation in annotations:
                del annotation["segmentation"]
        return entry, annotations

    def draw_fewer(self, index: int, record: _Record, missing: int) -> _Record | None:
        """Redraw a picture with so few people that exactly ``missing`` of them count; None if no number does."""
        fewer = (self.draw(index, people) for people in range(len(record[1]), 0, -1))
        return next((record for record in fewer if _counted(record) == missing), None)

    def annotate(self, count: int, pool: ProcessPoolExecutor | None, workers: int, progress: Progress) -> _Content:
        """Draw until exactly ``count`` people are labelled; return images, annotations and the detector's results."""
        self.images.mkdir(parents=True)
        content: _Content = {"images": [], "annotations": [], "detections": []}
        missing, start = count, 0
        task = progress.add_task(f"{self.level} {_SPLITS[self.split]}", total=count, rate=0.0)
        while missing:
            indices = range(start, start + min(ceil(missing / _PEOPLE[self.level]), _ROUND * workers))
            start = indices.stop
            drawn = pool.map(self.draw, indices, chunksize=_CHUNK) if pool else map(self.draw, indices)
            for index, full in zip(indices, drawn, strict=False):
                record = full if _counted(full) <= missing else self.draw_fewer(index, full, missing)
                if record is None:
                    continue
                image, people = record
                numbered = enumerate(people, len(content["annotations"]) + 1)
                annotations = [{"id": number, "image_id": image["id"], **person} for number, person in numbered]
                content["images"].append(image)
                content["annotations"] += annotations
                content["detections"] += detect(self.rng(image["id"], _DETECTOR), image, annotations)
                missing -= _counted(record)
                rate = len(content["images"]) / max(progress.tasks[task].elapsed or 0.0, 1e-3)
                progress.update(task, completed=count - missing, rate=rate)
                if not missing:
                    break
        return content


def _begin_process() -> None:
    # Ctrl-C reaches all processes, and the first one ends the others without a traceback of each.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # One that is killed cannot.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _fill(level: str, counts: tuple[int, int], seed: int, workers: int, folder: Path) -> dict[str, Any]:
    rate = TextColumn("{task.fields[rate]:.0f} images/s")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    print(f"drawing {sum(counts)} people, once ...", file=sys.stderr, flush=True)
    files: dict[str, Any] = {}
    splits = {name: _Split(folder, level, seed, split) for split, name in enumerate(_SPLITS)}
    # A forked child inherits the locks of threads that it does not have, torch's among them, and can wait for ever.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, context, _begin_process) if workers > 1 else nullcontext()
    with executor as pool, Progress(*columns, transient=True) as progress:
        for (name, split), count in zip(splits.items(), counts, strict=True):
            content = split.annotate(count, pool, max(1, workers), progress)
            info = {"description": f"synthetic people, {level}"}
            detections = content.pop("detections")
            files[f"{name}.json"] = {"info": info, **content, "categories": [PERSON]}
            if name == "val":
                files["val_detections.json"] = detections
    # Only now have all workers stopped: pictures drawn ahead of the last one needed can be taken away.
    for name, split in splits.items():
        needed = {image["file_name"] for image in files[f"{name}.json"]["images"]}
        for path in split.images.iterdir():
            if path.name not in needed:
                path.unlink()
    written = {name: write_packed(folder / "annotations" / name, content) for name, content in files.items()}
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in written.items()}
    train, val = counts
    return {"level": level, "train": train, "val": val, "seed": seed, "version": DRAWING_VERSION, "sha256": sums}


def generate(
    root: str | Path, level: str = "easy", train: int = 4000, val: int = 1000, seed: int = 0, workers: int | None = None
) -> Path:
    """Write the data set once (a second call returns at once) and return its folder.

    The folder holds ``annotations/{train,val,val_detections}.json``, ``images/{train,val}/*.jpg`` and ``done.json``.

    Args:
        root: Folder that holds all generated data sets; made if missing.
        level: "easy" (one clear person per picture), "hard" (crowds, occlusion, clutter), or "scenes" (2 to 8 people
            with masks on small pictures, for bottom-up; some without keypoints, and crowds labelled as one).
        train: Exact number of people with keypoints in the training split.
        val: Exact number of people with keypoints in the validation split. For exactness, the last picture of a split
            shows only as many as are missing, which for "scenes" may be one.
        seed: Seed of every choice; the same arguments give the same bytes.
        workers: Processes; 0 or 1 stay in this one, None takes one per core. No byte depends on it.

    An argument out of range raises an `InputError`.
    """
    check_choice("data.level", level, LEVELS)
    for name, value, least in (("train", train, 1), ("val", val, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{name}={value!r} must be a whole number of at least {least}")
    if workers is not None and workers < 0:
        raise InputError(f"workers={workers} must be at least 0, or None for one process per core")
    processes = os.cpu_count() or 1 if workers is None else workers
    return once(root, f"{level}-{train}-{val}-s{seed}", partial(_fill, level, (train, val), seed, processes))
