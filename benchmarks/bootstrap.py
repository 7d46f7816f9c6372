"""Speed of resampled COCO numbers beside pycocotools' accumulate, called anew for every resample.

About as much as val2017: 5,000 images, 6,300 labelled persons on half of them, 20 detections an image; 1,000 resamples.
Matching, which both sides need once, is timed apart. The numbers of a few resamples are compared before anything is
timed; then the two take turns. What accumulate would take for all resamples is extrapolated from single calls.

    python benchmarks/bootstrap.py --record
"""

import argparse
import contextlib
import io
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import processor, record
from pycocotools.coco import COCO as CocoFile
from pycocotools.cocoeval import COCOeval
from rich.console import Console
from rich.table import Table
from rivals import one_thread
from stopwatch import extra_memory, race, spread

from poserep.metrics.bootstrap import RESAMPLES_AT_ONCE, paired_bootstrap
from poserep.metrics.coco_resampling import MEASURES, CocoResampler
from poserep.metrics.scorer import Resampler
from poserep.skeleton import COCO

GOAL_S = 5.0
PERSONS = 6352 / 5000  # an image
UNLABELLED = 0.4  # of all persons


def scene(images: int, detections: int, noise: float, seed: int) -> COCOeval:
    """Return matched detections: one near each person, worse with a lower score, and others anywhere.

    Args:
        images: Half of them show persons.
        detections: On each image, at the most.
        noise: Of the joints, as part of the person's side.
        seed: Of the detections; the persons are always the same.
    """
    rng, own = np.random.default_rng(0), np.random.default_rng(seed)
    persons: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []

    def detect(image: int, xy: np.ndarray, score: float) -> None:
        joints = np.column_stack([xy, np.ones(len(xy))]).ravel().tolist()
        results.append({"image_id": image, "category_id": 1, "keypoints": joints, "score": score})

    for image in range(images):
        count = rng.poisson(2 * PERSONS / (1 - UNLABELLED)) if image % 2 else 0
        for _ in range(min(count, detections)):
            side, corner, seen = rng.lognormal(4.6, 0.7), rng.uniform(0, 400, 2), rng.random() > UNLABELLED
            xy = corner + rng.uniform(0, side, (17, 2))
            persons.append(
                {
                    "id": len(persons) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "bbox": [*corner, side, side],
                    "area": 0.5 * side**2,
                    "iscrowd": 0,
                    "num_keypoints": 17 * int(seen),
                    "keypoints": np.column_stack([xy, np.full(17, 2 * int(seen))]).ravel().tolist(),
                }
            )
            good = own.random()
            detect(image, xy + own.normal(0, noise * side * (1.5 - good), xy.shape), 0.5 * good + 0.5 * own.random())
        for _ in range(detections - min(count, detections)):
            side = own.lognormal(4.6, 0.7)
            detect(image, own.uniform(0, 400, 2) + own.uniform(0, side, (17, 2)), 0.6 * own.random())
    with contextlib.redirect_stdout(io.StringIO()):
        truth = CocoFile()
        images_ = [{"id": i} for i in range(images)]
        truth.dataset = {"images": images_, "annotations": persons, "categories": [{"id": 1}]}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(COCO.sigmas)
        evaluation.evaluate()
    return evaluation


def match(evaluation: COCOeval) -> float:
    """Return the seconds of matching persons and detections anew for AP alone, without ranges of areas."""
    again = COCOeval(evaluation.cocoGt, evaluation.cocoDt, "keypoints")
    again.params.kpt_oks_sigmas = np.array(COCO.sigmas)
    again.params.areaRng, again.params.areaRngLbl = again.params.areaRng[:1], again.params.areaRngLbl[:1]
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        again.evaluate()
    return time.perf_counter() - start


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
    """Match detections, check that both sides agree, then time them."""
    one_thread()
    evaluation, other = (scene(images, detections, noise, seed) for noise, seed in ((0.05, 1), (0.055, 2)))
    matching = match(evaluation)
    weights = draw(images, samples)
    rows = []
    for title, names in (("AP", ("AP",)), ("all ten numbers", tuple(MEASURES))):
        start = time.perf_counter()
        resampler = CocoResampler(evaluation, names)
        preparing = time.perf_counter() - start
        ours = np.stack(list(resampler(weights[:3]).values()), 1)
        theirs = [accumulate(evaluation, row, names) for row in weights[:3]]
        try:
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
        except AssertionError as error:
            raise SystemExit(f"{title}: resampling and accumulate disagree; nothing was timed.\n{error}") from None
        rivals = {
            "slow": (lambda names=names: accumulate(evaluation, weights[0], names), 1),
            "fast": (lambda resampler=resampler: in_blocks(resampler, weights), 1),
        }
        found = {which: spread(seconds) for which, seconds in race(rivals, rounds).items()}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "resampler"
            path.write_bytes(pickle.dumps(resampler))
            memory = extra_memory(resampling, path, images, samples)
        rows.append(
            {
                "job": title,
                "prepare_ms": 1000 * preparing,
                "fast_ms": found["fast"],
                "slow_one_ms": found["slow"],
                "ratio": samples * found["slow"]["median"] / found["fast"]["median"],
                "extra_mb": memory,
            }
        )
    sides = [CocoResampler(side, ("AP",)) for side in (evaluation, other)]
    both = race({"both": (lambda: paired_bootstrap(sides[:1], sides[1:], "AP", samples), 1)}, rounds)
    difference = paired_bootstrap(sides[:1], sides[1:], "AP", samples)
    return {
        "persons": int(sides[0]._areas["all"].positives.sum()),
        "detections": len(evaluation.cocoDt.anns),
        "matching_s": matching,
        "rows": rows,
        "paired_ms": spread(both["both"]),
        "goal_s": GOAL_S,
        "difference": {key: getattr(difference, key) for key in ("difference", "low", "high")},
    }


def show(found: dict[str, Any], samples: int) -> None:
    """Print the result of `measure`."""
    table = Table(title=f"{samples} resamples, one thread, s: median \\[quartiles]")
    for heading in ("job", "prepare", "resampling", "accumulate, once", "each time", "ratio", "extra MB"):
        table.add_column(heading, justify="left" if heading == "job" else "right")
    for row in found["rows"]:
        fast, slow = ({k: v / 1000 for k, v in row[key].items()} for key in ("fast_ms", "slow_one_ms"))
        extra = "?" if row["extra_mb"] is None else f"{row['extra_mb']:.0f}"
        times = [f"{t['median']:.2f} \\[{t['p25']:.2f}, {t['p75']:.2f}]" for t in (fast, slow)]
        total = f"{samples * slow['median']:.0f}"
        table.add_row(row["job"], f"{row['prepare_ms'] / 1000:.2f}", *times, total, f"{row['ratio']:.0f}", extra)
    Console(width=160).print(table)
    both, difference = found["paired_ms"]["median"] / 1000, found["difference"]
    print(
        f"{found['persons']} persons, {found['detections']} detections; matching a run for AP takes "
        f"{found['matching_s']:.1f} s, AP of two runs over {samples} resamples {both:.1f} s "
        f"({'within' if both <= GOAL_S else 'NOT within'} the goal of {GOAL_S:g} s): "
        f"{difference['difference']:.2f} [{difference['low']:.2f}, {difference['high']:.2f}]"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=20, help="on each image")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5, help="at least 2")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/bootstrap-<device>.json")
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    found = measure(options.images, options.detections, options.samples, options.rounds)
    show(found, options.samples)
    if options.record:
        settings = {key: value for key, value in vars(options).items() if key != "record"}
        print(f"written: {record('bootstrap', processor(), settings, {'load_before': load, **found})}")


if __name__ == "__main__":
    main()
