"""Speed of COCO's numbers beside pycocotools: from stored predictions, and of resampled images.

About as much as val2017: 5,000 images, 6,300 labelled persons on half of them, 20 detections an image; 1,000 resamples.
Values are compared before anything is timed, to the last bit where nothing is resampled; then the two take turns. What
accumulate would take for all resamples is extrapolated from single calls.

    python benchmarks/evaluation.py --record
"""

import argparse
import contextlib
import io
import json
import os
import pickle
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from machine import processor, record
from pycocotools.cocoeval import COCOeval
from rich.console import Console
from rich.table import Table
from rivals import one_thread
from stopwatch import extra_memory, race, spread

from poserep.geometry import Size
from poserep.instances import Instance, Truth
from poserep.metrics.bootstrap import RESAMPLES_AT_ONCE
from poserep.metrics.coco import CocoAP
from poserep.metrics.coco_matching import MEASURES, CocoResults, match
from poserep.metrics.scorer import Predictions, Resampler
from poserep.skeleton import COCO

# Goals of scoring stored predictions, and of the match alone.
GOALS = {"ten numbers": {"ms": 500.0}, "1000 resamples of AP": {"ms": 2000.0}, "match, records loaded": {"ratio": 50.0}}
PERSONS = 6352 / 5000  # an image
UNLABELLED = 0.4  # of all persons


def persons_on(images: int, most: int) -> list[dict[str, Any]]:
    """Return annotations, up to ``most`` on every other image."""
    rng, persons = np.random.default_rng(0), list[dict[str, Any]]()
    for image in range(1, images, 2):
        for _ in range(min(rng.poisson(2 * PERSONS / (1 - UNLABELLED)), most)):
            side, corner, seen = rng.lognormal(4.6, 0.7), rng.uniform(0, 400, 2), int(rng.random() > UNLABELLED)
            xy = corner + rng.uniform(0, side, (17, 2))
            persons.append(
                {
                    "id": len(persons) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "bbox": [*corner, side, side],
                    "area": 0.5 * side**2,
                    "iscrowd": 0,
                    "num_keypoints": 17 * seen,
                    "keypoints": np.column_stack([xy, np.full(17, 2 * seen)]).ravel().tolist(),
                }
            )
    return persons


def predicted(persons: Sequence[dict[str, Any]], images: int, detections: int, noise: float, seed: int) -> Any:
    """Return images, boxes' sides, poses and scores of detections.

    One is near each person, worse with a lower score, the others lie anywhere.

    Args:
        persons: See `persons_on`.
        images: Their number.
        detections: On each image.
        noise: Of the joints, as part of the person's side.
        seed: Of the detections.
    """
    rng, image = np.random.default_rng(seed), np.repeat(np.arange(images), detections)
    count = len(image)
    side = rng.lognormal(4.6, 0.7, count)
    xy = rng.uniform(0, 400, (count, 1, 2)) + rng.uniform(0, 1, (count, 17, 2)) * side[:, None, None]
    score, free = 0.6 * rng.random(count), np.arange(images) * detections
    for person in persons:
        row, good, length = free[person["image_id"]], rng.random(), person["bbox"][2]
        truth = np.reshape(person["keypoints"], (17, 3))[:, :2]
        xy[row], side[row] = truth + rng.normal(0, noise * length * (1.5 - good), (17, 2)), length
        score[row] = 0.5 * good + 0.5 * rng.random()
        free[person["image_id"]] += 1
    return image, side, xy.astype(np.float32), score


def scorer_of(file: Path, image: np.ndarray, side: np.ndarray, **options: Any) -> CocoAP:
    """Return a scorer of detections in square boxes."""
    nothing = np.zeros((17, 2), np.float32), np.zeros(17, np.float32)
    instances = [
        Instance(Path("none"), int(i), n, np.array([0, 0, s, s]), *nothing, score=1.0)
        for n, (i, s) in enumerate(zip(image, side, strict=True))
    ]
    return CocoAP(Truth(instances, COCO, file, Size(256, 192)), **options)


def accumulate(evaluation: COCOeval, weights: np.ndarray, names: Sequence[str]) -> list[float]:
    """Return one resample's numbers in percent: entries of the images drawn, accumulated by pycocotools."""
    every, images = evaluation.evalImgs, len(weights)
    labels = evaluation.params.areaRngLbl
    ranges, kept = evaluation.params.areaRng, sorted({labels.index(MEASURES[name].area) for name in names})
    drawn = np.repeat(np.arange(images), weights)
    params = evaluation._paramsEval
    try:
        evaluation.evalImgs = [every[a * images + i] for a in kept for i in drawn]
        evaluation.params.areaRng = params.areaRng = [ranges[a] for a in kept]
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate()
    finally:
        evaluation.evalImgs, evaluation.params.areaRng, params.areaRng = every, ranges, ranges
    values = []
    for name in names:
        recall, area, threshold = MEASURES[name]
        of = evaluation.eval["recall" if recall else "precision"][..., kept.index(labels.index(area)), 0]
        chosen = np.isclose(evaluation.params.iouThrs, threshold) if threshold else slice(None)
        values.append(100 * of[chosen].mean())
    return values


def draw(images: int, samples: int) -> np.ndarray:
    """Return how often each resample contains each image."""
    rng = np.random.default_rng(1)
    return np.stack([np.bincount(rng.integers(0, images, images), minlength=images) for _ in range(samples)])


def in_blocks(resampler: Resampler, weights: np.ndarray) -> None:
    """Resample as `paired_bootstrap` does, some at a time."""
    for start in range(0, len(weights), RESAMPLES_AT_ONCE):
        resampler(weights[start : start + RESAMPLES_AT_ONCE])


def resampling(path: Path, images: int, samples: int) -> Callable[[], Any]:
    """Resample with a stored resampler; runs in another process too."""
    one_thread()
    with path.open("rb") as file:
        resampler = pickle.load(file)
    weights = draw(images, samples)
    return lambda: in_blocks(resampler, weights)


def measure(images: int, detections: int, samples: int, rounds: int) -> dict[str, Any]:
    """Check that both sides agree, then time them."""
    one_thread()
    persons = persons_on(images, detections)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "persons.json"
        records = [{"id": i, "file_name": f"{i}.jpg", "width": 900, "height": 900} for i in range(images)]
        data = {"images": records, "annotations": persons, "categories": [{"id": 1, "name": "person"}]}
        file.write_text(json.dumps(data))
        return _measure(persons, file, images, detections, samples, rounds)


def _measure(
    persons: list[dict[str, Any]], file: Path, images: int, detections: int, samples: int, rounds: int
) -> dict[str, Any]:
    image, side, xy, score = predicted(persons, images, detections, 0.05, 1)
    ours, theirs = (scorer_of(file, image, side, matcher=name) for name in ("hotcoco", "pycocotools"))
    predictions = Predictions(np.arange(len(xy)), xy, np.repeat(score[:, None], 17, 1).astype(np.float32))
    ready = CocoResults(image, np.dstack([xy, np.ones_like(xy[..., :1])]).astype(float).reshape(len(xy), -1), score)
    both = [scorer(predictions).values for scorer in (ours, theirs)]
    if both[0] != both[1]:
        raise SystemExit(f"the libraries disagree; nothing was timed.\n{both[0]}\n{both[1]}")
    weights, evaluation = draw(images, samples), theirs.match(predictions)._evaluation
    loaded, everywhere = [scorer.match(predictions) for scorer in (ours, theirs)], np.ones(images, bool)
    rows = [
        _row("match, records loaded", *(partial(matched.on, everywhere) for matched in loaded), rounds),
        _row("match", *(partial(_matched, ours, persons, ready, name) for name in ("hotcoco", "pycocotools")), rounds),
        _row("ten numbers", lambda: ours(predictions), lambda: theirs(predictions), rounds),
    ]
    for title, names in (("AP", ("AP",)), ("all ten", tuple(MEASURES))):
        resampler = ours.resampler(predictions, names)
        found = np.stack(list(resampler(weights[:3]).values()), 1)
        expected = [accumulate(evaluation, row, names) for row in weights[:3]]
        try:
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
        except AssertionError as error:
            raise SystemExit(f"{title}: resampling and accumulate disagree; nothing was timed.\n{error}") from None
        fast = partial(_resampled, ours, predictions, names, weights)
        slow = partial(accumulate, evaluation, weights[0], names)
        row = _row(f"{samples} resamples of {title}", fast, slow, rounds, samples)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "resampler"
            path.write_bytes(pickle.dumps(resampler))
            rows.append({**row, "extra_mb": extra_memory(resampling, path, images, samples)})
    return {
        "persons": sum(p["num_keypoints"] > 0 for p in persons),
        "detections": len(image),
        "rows": rows,
    }


def _matched(scorer: CocoAP, persons: Sequence[dict[str, Any]], results: CocoResults, name: Any) -> Any:
    images, sigmas = list(scorer.file.images_by_id), scorer.truth.sigmas
    return match(images, persons, results, sigmas, scorer.ranges, scorer.max_detections, name).values()


def _resampled(scorer: CocoAP, predictions: Predictions, names: Sequence[str], weights: np.ndarray) -> None:
    in_blocks(scorer.resampler(predictions, names), weights)


def _row(job: str, fast: Callable[[], Any], slow: Callable[[], Any], rounds: int, times: int = 1) -> dict[str, Any]:
    """Race two sides of which the slow one would be called a number of times for what the fast one does."""
    found = {which: spread(seconds) for which, seconds in race({"slow": (slow, 1), "fast": (fast, 1)}, rounds).items()}
    ratio = times * found["slow"]["median"] / found["fast"]["median"]
    return {
        "job": job,
        "fast_ms": found["fast"],
        "slow_ms": found["slow"],
        "times": times,
        "ratio": ratio,
        "goal": GOALS.get(job, {}),
    }


def show(found: dict[str, Any]) -> None:
    """Print the result of `measure`."""
    table = Table(title="one thread, s: median \\[quartiles]")
    for heading in ("job", "ours", "pycocotools, once", "as often", "ratio", "extra MB"):
        table.add_column(heading, justify="left" if heading == "job" else "right")
    for row in found["rows"]:
        sides = ({k: v / 1000 for k, v in row[key].items()} for key in ("fast_ms", "slow_ms"))
        times = [f"{t['median']:.2f} \\[{t['p25']:.2f}, {t['p75']:.2f}]" for t in sides]
        extra = "" if row.get("extra_mb") is None else f"{row['extra_mb']:.0f}"
        table.add_row(row["job"], *times, str(row["times"]), f"{row['ratio']:.0f}", extra)
    Console(width=160).print(table)
    print(f"{found['persons']} persons, {found['detections']} detections; goals: {GOALS}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=20, help="on each image")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5, help="at least 2")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/evaluation-<device>.json")
    options = parser.parse_args(arguments)
    # hotcoco's own threads.
    os.environ["RAYON_NUM_THREADS"] = "1"
    load = os.getloadavg()[0]
    found = measure(options.images, options.detections, options.samples, options.rounds)
    show(found)
    if options.record:
        settings = {key: value for key, value in vars(options).items() if key != "record"}
        print(f"written: {record('evaluation', processor(), settings, {'load_before': load, **found})}")


if __name__ == "__main__":
    main()
