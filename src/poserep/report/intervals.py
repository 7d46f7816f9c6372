"""The difference of a row to the one that it is held against, with a 95 % interval over the choice of images.

An interval takes seconds and follows from its runs alone, so it is kept: ``STUDY/intervals/HASH.json``.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from poserep.errors import InputError
from poserep.files import write_json
from poserep.report.lines import Gap, Line
from poserep.sweeps.table import Table

FOLDER = "intervals"
SAMPLES, LEVEL = 1000, 0.95


def with_gaps(lines: Sequence[Line], study: Path, table: Table, samples: int = SAMPLES) -> list[Line]:
    """The same lines with their gaps, or why there is none; nothing is refused.

    Args:
        lines: Of one table.
        study: Where intervals are kept.
        table: Theirs.
        samples: Resamples of the images.
    """
    sides = _Sides(table.boxes)
    found = []
    for line in lines:
        if line.row.against is None or not line.runs:
            found.append(line)
            continue
        try:
            base = _base(line, lines)
            gap = _gap(line, base, study, sides, chief(table, [line]), samples)
            found.append(replace(line, gap=gap, across=line.protocol != base.protocol))
        except Exception as error:  # whatever is wrong with two runs is no reason to show no table
            told = str(error).strip() or type(error).__name__
            found.append(replace(line, why_not=told.splitlines()[0].rstrip(".")))
    return found


def chief(table: Table, lines: Sequence[Line]) -> str:
    """The metric that intervals are of: the first of the results' own that the table shows, else the table's first."""
    shown = [name for line in lines for name in line.shown]
    columns = table.columns or tuple(shown)
    return next((name for name in shown if name in columns), next(iter(columns), ""))


def _base(line: Line, lines: Sequence[Line]) -> Line:
    """The line of the row that a line is held against, which ran with the same arguments."""
    alike = [
        other
        for other in lines
        if other.row.name == line.row.against
        and (other.mode, other.size, other.variant) == (line.mode, line.size, line.variant)
        and other.runs
    ]
    if not alike:
        raise InputError(f"{line.row.against!r} has no finished run with the same arguments")
    if len(alike) > 1:
        told = "; ".join(other.setting for other in alike)
        raise InputError(f"{line.row.against!r} has runs of several configurations ({told})")
    return alike[0]


def _gap(line: Line, base: Line, study: Path, sides: "_Sides", name: str, samples: int) -> Gap:
    seeds = sorted({*line.runs} & {*base.runs})
    if not seeds:
        raise InputError(f"no finished run of {base.row.name!r} has an equal seed")
    for side in (line, base):
        if not side.values:
            raise InputError(f"{side.row.name!r} has no values: {', '.join(side.marks)}")
    key: dict[str, Any] = {"metric": name, "boxes": sides.boxes, "samples": samples, "level": LEVEL}
    for letter, side in (("a", line), ("b", base)):
        if name not in side.values:
            raise InputError(f"{side.row.name!r} has no metric {name!r}")
        values = dict(zip(side.runs, side.values[name], strict=True))
        # What a run is called does not change when it is run again on other hardware; what it found does.
        known = [{"run": side.runs[seed].name, "value": values[seed]} for seed in seeds]
        key[letter] = {"readout": side.readout, "runs": known}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = study / FOLDER / f"{digest}.json"
    if not path.is_file():
        difference = sides.difference(line, base, seeds, name, samples)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {**key, "seeds": seeds, **difference})
    kept = json.loads(path.read_text())
    return Gap(kept["difference"], kept["low"], kept["high"], tuple(kept["seeds"]), name)


class _Sides:
    """Sides of comparisons; the last few stay open, as many rows are held against one."""

    def __init__(self, boxes: str) -> None:
        self.boxes = boxes
        self._opened = lru_cache(maxsize=6)(self._open)

    def difference(self, line: Line, base: Line, seeds: Sequence[int], name: str, samples: int) -> dict[str, Any]:
        """Difference and interval of two lines' runs."""
        # What is kept needs no metrics, which take seconds to import.
        from poserep.metrics.bootstrap import paired_bootstrap
        from poserep.report.compare.stored import check_protocols, read_side

        a, b = (read_side(_argument(side, seeds), self.boxes) for side in (line, base))
        for run in (*a, *b):
            check_protocols(a[0], run)
        ours, theirs = ([self._opened(run.path, run.readout, name) for run in side] for side in (a, b))
        found = paired_bootstrap(ours, theirs, name, samples, level=LEVEL)
        for run, value in zip((*a, *b), found.a.values + found.b.values, strict=True):
            if abs(value - run.values[name]) > 1e-6 * max(1, abs(value)):
                was = f"{run.values[name]:.6g} when it was evaluated"
                raise InputError(f"{name} of {run.name} is {value:.6g} here and was {was}; use poserep evaluate again")
        return {"difference": found.difference, "low": found.low, "high": found.high, "images": found.images}

    def _open(self, path: Path, readout: str, name: str) -> Any:
        from poserep.report.compare.stored import read_side, rebuild

        (run,) = read_side(f"{path}:{readout}", self.boxes)
        scorer, predictions = rebuild(run)
        return scorer.resampler(predictions, [name])


def _argument(line: Line, seeds: Sequence[int]) -> str:
    return f"{','.join(str(line.runs[seed]) for seed in seeds)}:{line.readout}"
