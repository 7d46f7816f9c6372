"""Speed of loading beside the field's own per-sample pipeline, in one process, one thread and one run.

Three ways to the same augmented crops at 256x192: the field's (benchmarks/field.py), ours, and ours with a warm cache.
The crops are compared before anything is timed; then the ways take turns, so that a disturbed machine slows all of
them. Goals hold for medians, and for photographs.

    python benchmarks/loading.py FOLDER --record    FOLDER: annotations/person_keypoints_val2017.json, images/val2017
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch
from field import FieldDataset
from machine import processor, record
from rich.console import Console
from rich.table import Table
from sharing import workers_memory
from stages import STAGES, stages
from stopwatch import race, spread

from poserep.data import load_coco
from poserep.data.augment import Augment
from poserep.data.cache import ImageCache
from poserep.data.dataset import PoseDataset
from poserep.data.synthetic import generate
from poserep.geometry import Size
from poserep.instances import Instance
from poserep.skeleton import COCO

SIZE = Size(256, 192)
HRNET = Augment(scale=0.35, rotation=45, flip=0.5, half_body=0.3)
FIELD, PLAIN, CACHED = "field", "ours", "ours, cached"
# Times the speed of the field; of a warp, ms; of what many persons in place of few add to a worker, MB.
GOALS = {PLAIN: 2.2, CACHED: 5.0, "warp": 0.6, "worker": 5.0}


def persons(folder: Path | None) -> tuple[list[Instance], str, tempfile.TemporaryDirectory | None]:
    """Return persons, a description of them, and their folder if it was made for the benchmark."""
    if folder:
        found = load_coco(folder / "annotations/person_keypoints_val2017.json", folder / "images/val2017", COCO)
        return found, folder.name, None
    made = tempfile.TemporaryDirectory()
    root = generate(made.name, "hard", train=1, val=60)
    found = load_coco(root / "annotations/val.json", root / "images/val", COCO)
    return found, "synthetic, as no folder with photographs was given", made


def check(field: FieldDataset, ours: Sequence[PoseDataset], epoch: int) -> dict[str, float]:
    """Check that all make the same crops; return the greatest and the mean difference in grey levels."""
    worst, total = 0.0, []
    for i in range(len(field.records)):
        record = field[epoch, i][3]
        first, *others = [data[epoch, i] for data in ours]
        if not all(torch.equal(first.image, other.image) for other in others):
            raise SystemExit(f"sample {i}: the crops with and without cache differ; nothing was timed")
        # The field mirrors the image about its middle but crops about W / 2: 1 px further right.
        further = int(record["flipped"])
        crop = first.image.permute(1, 2, 0).numpy().astype(int)
        difference = np.abs(crop[:, : SIZE.width - further] - record["crop"][:, further:])
        kept = first.weight.numpy() > 0
        joints = np.abs(first.xy.numpy() + np.array([further, 0]) - record["moved"][:, :2])[kept]
        if difference.mean() > 0.1 or joints.max(initial=0) > 2e-3:
            raise SystemExit(f"sample {i}: the field's crop and ours differ by {difference.mean():.2f} grey levels")
        worst, total = max(worst, float(difference.max())), [*total, difference.mean()]
    return {"max": worst, "mean": float(np.mean(total))}


def compare(instances: list[Instance], rounds: int, goals: dict[str, float]) -> dict[str, Any]:
    """Check, then time all three ways; ``goals`` as in `GOALS`, or none."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        field = FieldDataset(instances, COCO, SIZE, HRNET)
        cache = ImageCache(folder, 1000)
        plain, cached = (PoseDataset(instances, COCO, SIZE, "corner", HRNET, cache=c) for c in (None, cache))
        for i in range(len(cached)):
            cached[0, i]
        agreement = check(field, [plain, cached], 0)
        epochs = {name: iter(range(1, 10**6)) for name in (FIELD, PLAIN, CACHED)}

        def way(name: str, data: Any) -> Callable[[], None]:
            def epoch() -> None:
                number = next(epochs[name])
                for i in range(len(instances)):
                    data[number, i]

            return epoch

        ways = {name: way(name, data) for name, data in ((FIELD, field), (PLAIN, plain), (CACHED, cached))}
        seconds = race({name: (function, 1) for name, function in ways.items()}, rounds)
        split = stages(ways, len(instances), rounds)
        entropy = entropy_ms(ways[PLAIN], rounds) / len(instances)
        used = cache.used() / 1e6
    rows = [
        {"way": name, "ms": spread([s / len(instances) for s in times]), "stages_ms": split[name]}
        for name, times in seconds.items()
    ]
    for row in rows:
        row["ratio"] = rows[0]["ms"]["median"] / row["ms"]["median"]
        row["goal_ratio"] = goals.get(row["way"])
        row["met"] = row["ratio"] >= row["goal_ratio"] if row["goal_ratio"] else None
    warp, decode = split[PLAIN]["warp"], split[PLAIN]["decode"]
    fastest = rows[1]["ms"]["median"] - decode + entropy
    return {
        "entropy": {"ms": entropy, "decode_ms": decode, "limit_ratio": rows[0]["ms"]["median"] / fastest},
        "grey_levels_apart": agreement,
        "cache_mb": {"total": used, "person": used / len(instances)},
        "warp": {"ms": warp, "goal_ms": GOALS["warp"], "met": warp <= GOALS["warp"] if goals else None},
        "rows": rows,
    }


def entropy_ms(epoch: Callable[[], None], rounds: int) -> float:
    """Return the median ms of reading the codes of an epoch's files, as far down as its crops need, with few pixels.

    Codes have to be read up to the last row that is needed, whatever decodes them, so that this is what no decoder of
    regions can save.
    """
    read: list[np.ndarray] = []
    decode = cv2.imdecode

    def kept(code: np.ndarray, flags: int) -> np.ndarray | None:
        read.append(code.copy())
        return decode(code, flags)

    with patch("cv2.imdecode", kept):
        epoch()
    few = cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION
    return spread(race({"codes": (lambda: [decode(code, few) for code in read], 1)}, rounds)["codes"])["median"]


def memory(persons_: int, few: int = 1000) -> dict[str, Any] | None:
    """Measure what each further worker adds, MB, for many persons as a table and as objects, for few as a table."""
    found = {
        name: workers_memory(kind, number)
        for name, kind, number in (("table", "table", persons_), ("objects", "list", persons_), ("few", "table", few))
    }
    if None in found.values():
        return None
    grows = {name: (rows[-1]["total"] - rows[0]["total"]) / (len(rows) - 1) for name, rows in found.items() if rows}
    extra = grows["table"] - grows["few"]
    return {
        "persons": persons_,
        "few": few,
        "mb": found,
        "mb_a_worker": grows,
        "goal_mb": GOALS["worker"],
        "met": extra <= GOALS["worker"],
    }


def show(measured: dict[str, Any]) -> None:
    """Print the result."""
    met = {None: "", True: "met", False: "[red]NOT MET[/]"}
    named = [*STAGES, "rest"]
    table = Table(title="one thread, ms a sample: median \\[quartiles]; stages measured apart")
    for heading in ("way", "ms", *named, "times the field", "goal"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for row in measured["rows"]:
        ms, parts = row["ms"], row["stages_ms"]
        cells = [f"{parts[name]:.2f}" if name in parts else "" for name in named]
        goal = f"{row['goal_ratio']:g} {met[row['met']]}" if row["goal_ratio"] else ""
        total = f"{ms['median']:.2f} \\[{ms['p25']:.2f}, {ms['p75']:.2f}]"
        table.add_row(row["way"], total, *cells, f"{row['ratio']:.2f}", goal)
    console = Console(width=160)
    console.print(table)
    codes = measured["entropy"]
    console.print(
        f"of {codes['decode_ms']:.2f} ms of decoding, reading codes takes {codes['ms']:.2f} ms: with nothing else "
        f"decoded {codes['limit_ratio']:.2f} times the field"
    )
    warp, apart, kept = measured["warp"], measured["grey_levels_apart"], measured["cache_mb"]
    console.print(f"warp {warp['ms']:.2f} ms, goal {warp['goal_ms']:g} ms: {met[warp['met']]}")
    console.print(
        f"the field's crops and ours: {apart['mean']:.4f} grey levels apart on average, {apart['max']:.0f} at most"
    )
    console.print(f"cache: {kept['total']:.1f} MB, {kept['person']:.2f} MB a person")
    if shared := measured.get("memory"):
        table = Table(title=f"MB of a process with {shared['persons']:,} persons and its workers, shared pages once")
        counts = [str(row["workers"]) for row in shared["mb"]["table"]]
        for heading in ("persons as", *(f"{n} workers" for n in counts), "a worker", "private to a worker"):
            table.add_column(heading, justify="left" if heading == "persons as" else "right")
        for name, rows in shared["mb"].items():
            title = f"table of {shared['few']:,}" if name == "few" else name
            totals = [f"{row['total']:.0f}" for row in rows]
            table.add_row(title, *totals, f"{shared['mb_a_worker'][name]:.1f}", f"{rows[-1]['private']:.1f}")
        console.print(table)
        console.print(
            f"a table of {shared['persons']:,} in place of {shared['few']:,} persons adds at most "
            f"{shared['goal_mb']:g} MB to a worker: {met[shared['met']]}"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("POSEREP_REAL_DATA")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(default) / "coco_mini" if default else None)
    parser.add_argument("--rounds", type=int, default=15, help="at least 2")
    parser.add_argument("--persons", type=int, default=150_000, help="for the memory of workers; 0 leaves it out")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/loading-<processor>.json")
    options = parser.parse_args(arguments)
    # Processes that ran or wanted to, over the minute before: with less than the cores, none was in the way.
    load = os.getloadavg()[0]
    instances, source, made = persons(options.folder)
    measured: dict[str, Any] = {"data": source, "samples": len(instances), "load_before": load}
    measured |= compare(instances, options.rounds, GOALS if options.folder else {})
    if made:
        made.cleanup()
    if options.persons:
        measured["memory"] = memory(options.persons)
    print(f"{len(instances)} persons of {source}, {SIZE}")
    show(measured)
    if options.record:
        settings = {"size": str(SIZE), "threads": 1, "rounds": options.rounds}
        print(f"written: {record('loading', processor(), settings, measured)}")


if __name__ == "__main__":
    main()
