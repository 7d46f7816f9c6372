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
brackets. Goals are those that the project set itself, a dash where there is none. Of GPUs nothing has been measured:
`python benchmarks/gpu.py --record` is the command for one.
"""


class Topic(NamedTuple):
    """What a benchmark is about, what a user would take instead, and what its numbers consist of."""

    title: str
    instead: str
    note: str = ""


TOPICS = {
    "evaluation": Topic(
        "Evaluation",
        "pycocotools, and its `accumulate` called anew for every resample",
        "One thread. What a match takes beyond the records that are loaded is making 100,000 records in Python "
        "and handing them over, which both libraries need: the goal of 50 is met without it, and out of reach "
        "with it.",
    ),
    "codecs": Topic("Targets, losses and readouts", "loops over samples and joints, as in the papers' code"),
    "associative": Topic("Associative embedding: targets and losses", "loops over images and people"),
    "grouping": Topic("Associative embedding: people from maps", "loops over people, as in the published parser"),
    "loading": Topic(
        "Loading",
        "the field's pipeline: decode, warp, normalise and draw targets, sample by sample",
        "A JPEG's codes have to be read from its top to the last row that a crop shows, whatever decodes them, "
        "and that is three quarters of decoding: the limit stands beside the goal of 2.2. Of other decoders, "
        "simplejpeg, imagecodecs and torchvision take as long as OpenCV for whole files, to within 4 %. "
        "nvImageCodec decodes the columns of a region alone, to the same bits and faster, but is not there for "
        "macOS and fills the terminal with errors where CUDA's libraries are not installed; it was left out. The "
        "cache has its goal.",
    ),
    "predict": Topic("Prediction", "one photograph after the other"),
    "validation": Topic(
        "Validation, an image, beyond the network's own passes",
        "pycocotools as the matcher",
        "Of 64 images: 2 to 3 ms each are the start of the loaders, once in a pass. Of 192 images the shares were "
        "1.1, 1.0 and 4.1 %. What is left with an SR head is the mirror image of maps of full size.",
    ),
    "training-steps": Topic(
        "A training step on a CPU",
        "float32, contiguous, eager",
        "channels_last is the default, and bfloat16 that of processors that multiply it (AVX512_BF16, AMX). "
        "Compilation is not: it is slower for the small network and a tenth faster for the large one.",
    ),
}
# Goals, in times the field's speed.
LOADING = {"ours": 2.2, "ours, cached": 5.0}


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
                job, goal = f"a crop, {row['way']}", LOADING.get(row["way"])
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
                job = f"{row['representation']}, {', '.join(row['readouts'])}: {row['share']:.1%} of a pass"
                ratio = f"{other['beyond_ms']['median'] / row['beyond_ms']['median']:.2f}"
                times = (milliseconds(found["beyond_ms"]) for found in (row, other))
                yield job, *times, ratio, f"{row['goal']:.0%} of a pass"
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
        lines += [textwrap.fill(topic.note, 119), ""] if files and topic.note else []
        for found in (json.loads(file.read_text()) for file in files):
            settings = ", ".join(f"{key} {value}" for key, value in found["settings"].items())
            lines += [f"`{found['command']}` on {found['processor']}, {found['cpu_cores']} cores; {settings}.", ""]
            lines += ["| what | ours, ms | instead, ms | ratio | goal |", "|---|---:|---:|---:|---:|"]
            lines += [*(f"| {' | '.join(row)} |" for row in cells(name, found)), ""]
            lines += profiles(found["rows"])
        if files:
            yield "\n".join(lines)
    start = json.loads((results / "startup.json").read_text())
    about = f"`python benchmarks/startup.py --record` on {start['device']}, median of {start['runs']}"
    lines = ["## Start", "", f"CPU seconds beyond those of an empty Python, {about}.", ""]
    lines += ["| command | s | goal, s |", "|---|---:|---:|"]
    for command, seconds in start["seconds"].items():
        lines.append(f"| `{command}` | {seconds:.2f} | {start['limits'][command]:g} |")
    yield "\n".join(lines) + "\n"


def page(results: Path = RESULTS) -> str:
    """Return the page."""
    return "\n".join([HEAD, *sections(results)])


if __name__ == "__main__":
    PAGE.write_text(page())
