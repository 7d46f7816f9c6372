"""Speed of associative embedding's parser beside loops over persons, in one process and one thread.

The loops are those of tests/reference/people.py: pooling, an assignment worked out cell by cell, and every joint that a
person lacks looked for on its own. Both sides' people are compared before anything is timed; then the two take turns.
Maps are drawn: joints of people all over the map, one in five missing, one tag a person, and noise.

    python benchmarks/grouping.py --record
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, get_args

import numpy as np
import torch
from machine import processor, record
from rich.console import Console
from rich.table import Table
from rivals import one_thread
from stopwatch import race, spread
from torch import Tensor

from poserep.codecs.grouping import COCO_ORDER, Adjust, Rules, TagParser
from reference.people import parse

GOAL = 3.0
JOINTS, TAGS = 17, 2
NOISE = 0.03


@dataclass(frozen=True)
class Scenes:
    """Images to parse: their number, bins on a side, people and the Gaussians' sigma in bins."""

    images: int
    side: int
    people: int
    sigma: float


SCENES = (Scenes(8, 128, 3, 2.0), Scenes(8, 128, 20, 2.0), Scenes(2, 512, 3, 8.0), Scenes(1, 512, 20, 8.0))


def maps(scenes: Scenes) -> tuple[Tensor, Tensor]:
    """Draw heatmaps (B, K, h, w) and tags (B, K, h, w, L)."""
    rng = np.random.default_rng(0)
    shape = (scenes.images, JOINTS, scenes.side, scenes.side)
    heat = NOISE * rng.random(shape, np.float32)
    tags = 0.2 * rng.standard_normal((*shape, TAGS), np.float32)
    bins = np.arange(scenes.side)
    for image, person, joint in np.ndindex(scenes.images, scenes.people, JOINTS):
        if rng.random() < 0.8:
            gx, gy = (np.exp(-((bins - rng.integers(scenes.side)) ** 2) / (2 * scenes.sigma**2)) for _ in "xy")
            blob = (0.3 + 0.7 * rng.random()) * np.outer(gy, gx)
            heat[image, joint] += np.maximum(blob - heat[image, joint], 0)
            tags[image, joint, blob > 0.05] += 1.5 * person
    return torch.from_numpy(heat), torch.from_numpy(tags)


def compare(rounds: int, calls: int, only: Sequence[Scenes] = SCENES) -> list[dict[str, Any]]:
    """Check, then time; the loops run once in each round and the parser ``calls`` times."""
    one_thread()
    rows = []
    for scenes, rules in product(only, get_args(Rules)):
        heat, tags = maps(scenes)
        parser = TagParser(rules=rules)

        def fast(heat: Tensor = heat, tags: Tensor = tags, parser: TagParser = parser) -> Any:
            return parser(heat, tags, Adjust())[0]

        def slow(heat: Tensor = heat, tags: Tensor = tags, rules: str = rules) -> Any:
            images = zip(heat.numpy(), tags.numpy(), strict=True)
            return [parse(*image, list(COCO_ORDER), rules=rules) for image in images]

        ours, loops = fast(), slow()
        joints, scores = (np.concatenate([image[i] for image in loops]) for i in (0, 1))
        if not (np.array_equal(ours.xy, joints) and np.array_equal(ours.score, scores)):
            raise SystemExit(f"{scenes}: parser and loops find other people; nothing was timed")
        seconds = race({"slow": (slow, 1), "fast": (fast, calls)}, rounds)
        timed = {side: spread(values) for side, values in seconds.items()}
        ratio = timed["slow"]["median"] / timed["fast"]["median"]
        rows.append(
            {
                "scenes": vars(scenes),
                "rules": rules,
                "people": len(ours.row),
                **timed,
                "ratio": ratio,
                "met": ratio >= GOAL,
            }
        )
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the result of `compare`."""
    table = Table(title=f"one thread, ms for all images: median \\[quartiles]; goal {GOAL:g}x")
    for heading in ("images", "bins", "rules", "people drawn", "found", "parser", "loops", "ratio", "met"):
        table.add_column(heading, justify="right")
    for row in rows:
        s = row["scenes"]
        times = ["{median:.1f} \\[{p25:.1f}, {p75:.1f}]".format(**row[side]) for side in ("fast", "slow")]
        given = [
            str(s["images"]),
            f"{s['side']}x{s['side']}",
            row["rules"],
            str(s["images"] * s["people"]),
            str(row["people"]),
        ]
        table.add_row(*given, *times, f"{row['ratio']:.1f}", "yes" if row["met"] else "[red]NO[/]")
    Console(width=120).print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="at least 2")
    parser.add_argument("--calls", type=int, default=3, help="of the parser in a round; the loops run once")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/grouping-<device>.json")
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    rows = compare(options.rounds, options.calls)
    show(rows)
    if options.record:
        settings = {"threads": 1, "rounds": options.rounds, "calls": options.calls}
        print(f"written: {record('grouping', processor(), settings, {'load_before': load, 'rows': rows})}")


if __name__ == "__main__":
    main()
