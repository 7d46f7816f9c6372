"""Write docs/speed.md from benchmarks/results: every measured ratio, its machine, command and spread.

python benchmarks/page.py
"""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
HEAD = """# Speed

Written by `python benchmarks/page.py` from `benchmarks/results/`, where machine, versions and settings of every number
stand. Both sides of a ratio ran in one process and took turns; but for training steps, their answers were compared
before. Ratios are of medians, and those of training steps medians of ratios of neighbouring turns; quartiles stand in
brackets. Goals are those that the project set itself, a dash where there is none.
"""


class Topic(NamedTuple):
    """What a benchmark is about, and what a user would take instead."""

    title: str
    instead: str


TOPICS = {
    "evaluation": Topic("Evaluation", "pycocotools, and its `accumulate` called anew for every resample"),
    "codecs": Topic("Targets, losses and readouts", "loops over samples and joints, as in the papers' code"),
    "associative": Topic("Associative embedding: targets and losses", "loops over images and people"),
    "grouping": Topic("Associative embedding: people from maps", "loops over people, as in the published parser"),
    "loading": Topic("Loading", "the field's pipeline: decode, warp, normalise and draw targets, sample by sample"),
    "predict": Topic("Prediction", "one photograph after the other"),
    "validation": Topic("Validation, an image, beyond the network's own passes", "pycocotools as the matcher"),
    "training-steps": Topic("A training step on a CPU", "float32, contiguous, eager"),
}


def milliseconds(time: Mapping[str, float]) -> str:
    """Return a median with its quartiles."""
    digits = 0 if time["median"] >= 100 else 1 if time["median"] >= 10 else 2
    return f"{time['median']:.{digits}f} [{time['p25']:.{digits}f}, {time['p75']:.{digits}f}]"


def cells(name: str, measured: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield what is measured, ours, what is taken instead, the ratio, and the goal."""
    for row in measured["rows"]:
        if name == "grouping":
            scenes = row["scenes"]
            job = f"{scenes['images']} maps of {scenes['side']} px, {row['people']} people, {row['rules']} rules"
            yield job, milliseconds(row["fast"]), milliseconds(row["slow"]), f"{row['ratio']:.1f}", "-"
        elif name == "loading":
            field = next(other for other in measured["rows"] if other["way"] == "field")
            if row is not field:
                job, goal = f"a crop, {row['way']}", row["goal_ratio"]
                times = milliseconds(row["ms"]), milliseconds(field["ms"])
                yield job, *times, f"{row['ratio']:.2f}", f"{goal:g}" if goal else "-"
                if (codes := measured.get("entropy")) and row["way"] == "ours":
                    least, limit = row["ms"]["median"] - codes["decode_ms"] + codes["ms"], codes["limit_ratio"]
                    job = "a crop, ours, if decoding were reading its codes alone: the limit"
                    yield job, f"{least:.2f}", times[1], f"{limit:.2f}", "-"
        elif name == "validation":
            if row["matcher"] == "hotcoco":
                other = next(
                    o for o in measured["rows"] if o["representation"] == row["representation"] and o is not row
                )
                spent, instead = (sum(r["ms"].values()) - r["ms"]["network"] for r in (row, other))
                job = f"{row['representation']}, {', '.join(row['readouts'])}: {row['share']:.1%} of a pass"
                ratio = f"{instead / spent:.2f}"
                yield job, f"{spent:.2f}", f"{instead:.2f}", ratio, f"{row['goal']:.0%} of a pass"
        elif name == "training-steps":
            base = row["eager float32"]
            for way, found in row.items():
                if isinstance(found, Mapping) and way != "profile" and found is not base:
                    spread = f"{found['ratio']:.2f} [{found['p25']:.2f}, {found['p75']:.2f}]"
                    job = f"{row['backbone']}, {row['representation']}, {row['size']}, batch {row['batch']}: {way}"
                    yield job, f"{found['ms']:.0f}", f"{base['ms']:.0f}", spread, "-"
        else:
            times = row.get("times", 1)
            slow = milliseconds({k: times * v for k, v in row["slow_ms"].items()})
            goal = row.get("goal") or {}
            units = (("ms", " ms"), ("ratio", ""))
            wanted = [f"{goal[key]:g}{unit}" for key, unit in units if goal.get(key) is not None]
            yield row["job"], milliseconds(row["fast_ms"]), slow, f"{row['ratio']:.1f}", " and ".join(wanted) or "-"


def profiles(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what steps consist of, for rows that know it."""
    for row in rows:
        for way, shares in row.get("profile", {}).items():
            parts = ", ".join(f"`{key}` {share:.0f} %" for key, share in shares.items())
            text = f"Of a step of {row['backbone']} with {row['representation']} at {row['size']}, {way}: {parts}."
            yield textwrap.fill(text, 119, break_on_hyphens=False, break_long_words=False)
            yield ""


def sections(results: Path) -> Iterator[str]:
    """Yield a section for each file of results that has a topic."""
    for name, topic in TOPICS.items():
        files = sorted(results.glob(f"{name}-*.json"))
        lines = [f"## {topic.title}", "", f"Instead: {topic.instead}.", ""] if files else []
        for found in (json.loads(file.read_text()) for file in files):
            settings = ", ".join(f"{key} {value}" for key, value in found["settings"].items())
            lines += [f"`{found['command']}` on {found['processor']}, {found['cpu_cores']} cores; {settings}.", ""]
            lines += ["| what | ours, ms | instead, ms | ratio | goal |", "|---|---:|---:|---:|---:|"]
            lines += [*(f"| {' | '.join(row)} |" for row in cells(name, found)), ""]
            lines += profiles(found["rows"])
        if files:
            yield "\n".join(lines)
    start = json.loads((results / "startup.json").read_text())
    lines = [
        "## Start",
        "",
        f"CPU seconds beyond those of an empty Python on {start['device']}, median of {start['runs']}.",
    ]
    lines += ["", "| command | s |", "|---|---:|"]
    lines += [f"| `{command}` | {seconds:.2f} |" for command, seconds in start["seconds"].items()]
    yield "\n".join(lines) + "\n"


def page(results: Path = RESULTS) -> str:
    """Return the page."""
    return "\n".join([HEAD, *sections(results)])


if __name__ == "__main__":
    PAGE.write_text(page())
