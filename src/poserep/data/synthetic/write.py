"""Generate the data set: pictures in parallel, annotations in one order."""

from __future__ import annotations

import hashlib
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from poserep.data.synthetic.annotate import CATEGORY, Instance, detect, flat
from poserep.data.synthetic.files import check_counts, once, write_jpeg, write_json
from poserep.data.synthetic.parallel import in_order, pool_of
from poserep.data.synthetic.scene import LEVELS, compose
from poserep.errors import InputError

VERSION = "v1"
SPLITS = ("train", "val")
_DETECTOR = 7919

Record = tuple[int, int, list[Instance]]


def _rng(seed: int, split: int, index: int, level: str, *more: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, split, index, LEVELS.index(level), *more]))


def _draw(folder: Path, seed: int, split: int, level: str, index: int, people: int | None = None) -> Record:
    """Draw and store one picture; returns its width, height and people."""
    picture = compose(_rng(seed, split, index, level), level, people)
    write_jpeg(folder / _file_name(index), picture)
    height, width = picture.image.shape[:2]
    return width, height, picture.people


def _draw_chunk(folder: Path, seed: int, split: int, level: str, indices: range) -> list[Record]:
    return [_draw(folder, seed, split, level, index) for index in indices]


def _file_name(index: int) -> str:
    return f"{index:06d}.jpg"


def _counted(people: list[Instance]) -> int:
    return sum(person.labelled > 0 for person in people)


def _shrink(folder: Path, seed: int, split: int, level: str, index: int, crowd: int, missing: int) -> Record | None:
    """Redraw a picture with so few people that exactly ``missing`` of them count; None if no number of people does."""
    for people in range(crowd, 0, -1):
        record = _draw(folder, seed, split, level, index, people)
        if _counted(record[2]) == missing:
            return record
    return None


def _annotations(people: list[Instance], image_id: int, first: int) -> list[dict[str, Any]]:
    out = []
    for offset, person in enumerate(people):
        out.append(
            {
                "id": first + offset,
                "image_id": image_id,
                "category_id": 1,
                "bbox": list(person.box),
                "area": float(person.area),
                "iscrowd": 0,
                "num_keypoints": person.labelled,
                "keypoints": flat(person.keypoints),
            }
        )
    return out


def _split(
    pool: ProcessPoolExecutor | None,
    workers: int,
    root: Path,
    level: str,
    split: int,
    count: int,
    seed: int,
    progress: Progress,
) -> dict[str, Any]:
    """Draw one split until exactly ``count`` people are labelled; returns its COCO annotation file's content."""
    folder = root / "images" / SPLITS[split]
    folder.mkdir(parents=True)
    images: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    kept: set[str] = set()
    total = 0
    task = progress.add_task(f"{level} {SPLITS[split]}", total=count, rate=0.0)

    def missing() -> int:
        return count - total

    draw = partial(_draw_chunk, folder, seed, split, level)
    for index, record in enumerate(in_order(pool, draw, workers, missing)):
        if _counted(record[2]) > missing():
            smaller = _shrink(folder, seed, split, level, index, len(record[2]), missing())
            if smaller is None:
                continue
            record = smaller
        width, height, people = record
        image_id = index + 1
        kept.add(_file_name(index))
        images.append({"id": image_id, "file_name": _file_name(index), "width": width, "height": height})
        labels += _annotations(people, image_id, len(labels) + 1)
        total += _counted(people)
        speed = progress.tasks[task].finished_speed or progress.tasks[task].speed or 0.0
        progress.update(task, completed=total, rate=speed * len(images) / max(total, 1))
    return {"kept": kept, "images": images, "annotations": labels}


def _detections(content: dict[str, Any], level: str, seed: int) -> list[dict[str, Any]]:
    by_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in content["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    found = []
    for image in content["images"]:
        rng = _rng(seed, SPLITS.index("val"), image["id"], level, _DETECTOR)
        found += detect(rng, image, by_image.get(image["id"], []))
    return found


def _fill(level: str, counts: tuple[int, int], seed: int, workers: int, folder: Path) -> dict[str, Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f} images/s"),
        TimeRemainingColumn(),
    )
    print(f"drawing {sum(counts)} people, once ...", file=sys.stderr, flush=True)
    sums: dict[str, str] = {}
    leftovers: list[tuple[Path, set[str]]] = []
    with pool_of(workers) as pool, Progress(*columns, transient=True) as progress:
        for split, (name, count) in enumerate(zip(SPLITS, counts, strict=True)):
            content = _split(pool, max(1, workers), folder, level, split, count, seed, progress)
            kept = content.pop("kept")
            files = {
                f"{name}.json": {
                    "info": {"description": f"synthetic people, {level}"},
                    **content,
                    "categories": [CATEGORY],
                }
            }
            if name == "val":
                files["val_detections.json"] = _detections(content, level, seed)  # type: ignore[assignment]
            for file_name, value in files.items():
                data = write_json(folder / "annotations" / file_name, value)
                sums[file_name] = hashlib.sha256(data).hexdigest()
            leftovers.append((folder / "images" / name, kept))
    # Only now have all workers stopped: pictures drawn ahead of the last one needed can be taken away.
    for images, kept in leftovers:
        for path in images.iterdir():
            if path.name not in kept:
                path.unlink()
    return {"level": level, "train": counts[0], "val": counts[1], "seed": seed, "version": VERSION, "sha256": sums}


def _check(level: str, train: int, val: int, seed: int, workers: int | None) -> None:
    if level not in LEVELS:
        raise InputError(f"unknown level {level!r} of the synthetic data set: use one of {', '.join(LEVELS)}")
    check_counts(seed, train=train, val=val)
    if workers is not None and workers < 0:
        raise InputError(f"workers={workers!r} is no number of processes: give 0 or more, or None for one per core")


def generate(
    root: str | Path,
    level: str = "easy",
    train: int = 4000,
    val: int = 1000,
    seed: int = 0,
    workers: int | None = None,
) -> Path:
    """Write the data set once (a second call returns at once) and return its folder.

    Args:
        root: Folder that holds all generated data sets; made if missing.
        level: "easy" (one clear person per picture) or "hard" (crowds, occlusion, clutter).
        train: Exact number of people with keypoints in the training split.
        val: Exact number of people with keypoints in the validation split.
        seed: Seed of every choice; the same arguments give the same bytes.
        workers: Processes; 0 or 1 stay in this one, None takes one per core. No byte depends on it.

    Returns:
        The folder with ``annotations/{train,val,val_detections}.json``, ``images/{train,val}/*.jpg`` and ``done.json``.

    Raises:
        InputError: If an argument is out of range.
    """
    _check(level, train, val, seed, workers)
    name = f"{level}-{train}-{val}-s{seed}-{VERSION}"
    processes = os.cpu_count() or 1 if workers is None else workers
    return once(root, name, partial(_fill, level, (train, val), seed, processes))
