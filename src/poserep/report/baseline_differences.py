"""The difference of a table row to its baseline, with 95 % intervals over images, and over seeds and images.

An interval takes seconds to compute and follows from its runs alone, so it is kept: ``STUDY/intervals/HASH.json``.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from poserep.errors import InputError, first_line
from poserep.files import write_json
from poserep.report.paper_rows import BaselineDifference, PaperRow
from poserep.sweeps.table import Table

# Kept intervals of an earlier form are computed anew: 3 pairs readouts of the same networks.
INTERVALS, INTERVAL_FORM = "intervals", 3
RESAMPLES, CONFIDENCE = 1000, 0.95


def with_baseline_differences(
    rows: Sequence[PaperRow], study: Path, table: Table, samples: int = RESAMPLES
) -> list[PaperRow]:
    """Return a table's rows with their differences to their baselines over resampled images, or why there is none."""
    intervals = _Intervals(study, table.boxes, samples)
    compared = []
    for row in rows:
        if row.row.against is not None and row.runs:
            try:
                base = _baseline(row, rows)
                difference = intervals(row, base, chief_metric(table, [row]))
                row = replace(row, against_baseline=difference, across=row.protocol != base.protocol)
            except Exception as error:  # whatever is wrong with two runs is no reason to show no table
                row = replace(row, why_not=first_line(error).rstrip("."))
        compared.append(row)
    return compared


def chief_metric(table: Table, rows: Sequence[PaperRow]) -> str:
    """Return the metric that intervals are of: the results' first one that the table shows, else the table's first."""
    shown = [name for row in rows for name in row.shown]
    columns = table.columns or tuple(shown)
    return next((name for name in shown if name in columns), next(iter(columns), ""))


def _baseline(row: PaperRow, rows: Sequence[PaperRow]) -> PaperRow:
    """Return the row's baseline that ran with the same arguments."""
    asked = row.row.against, row.mode, row.size, row.variant
    alike = [one for one in rows if one.runs and (one.row.name, one.mode, one.size, one.variant) == asked]
    if not alike:
        raise InputError(f"{row.row.against!r} has no finished run with the same arguments")
    if len(alike) > 1:
        settings = "; ".join(other.setting for other in alike)
        raise InputError(f"{row.row.against!r} has runs of several configurations ({settings})")
    return alike[0]


class _Intervals:
    """Differences between rows of one study, computed unless they are kept in its folder."""

    def __init__(self, study: Path, boxes: str, samples: int) -> None:
        self.study, self.boxes, self.samples = study, boxes, samples
        # Many rows are compared with one, so the last few runs stay open.
        self._resampler = lru_cache(maxsize=6)(self._open)

    def __call__(self, row: PaperRow, base: PaperRow, metric: str) -> BaselineDifference:
        boxes = row.row.boxes or self.boxes
        seeds = sorted({*row.runs} & {*base.runs})
        if not seeds:
            raise InputError(f"no finished run of {base.row.name!r} has an equal seed")
        key: dict[str, Any] = {"metric": metric, "boxes": boxes, "samples": self.samples, "level": CONFIDENCE}
        key |= {"form": INTERVAL_FORM}
        for letter, side in (("a", row), ("b", base)):
            if metric not in side.values:
                lacking = f"metric {metric!r}" if side.values else f"values: {', '.join(side.marks)}"
                raise InputError(f"{side.row.name!r} has no {lacking}")
            values = dict(zip(side.runs, side.values[metric], strict=True))
            # A run keeps its name when it is repeated on other hardware; its values may change.
            known = [{"run": side.runs[seed].name, "value": values[seed]} for seed in seeds]
            key[letter] = {"readout": side.readout, "runs": known}
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        path = self.study / INTERVALS / f"{digest}.json"
        if not path.is_file():
            found = self.compute(row, base, seeds, metric)
            write_json(path, {**key, "seeds": seeds, **found})
        kept = json.loads(path.read_text())
        numbers = (kept.get(name) for name in ("seeds_low", "seeds_high"))
        return BaselineDifference(kept["difference"], kept["low"], kept["high"], tuple(kept["seeds"]), metric, *numbers)

    def compute(self, row: PaperRow, base: PaperRow, seeds: Sequence[int], metric: str) -> dict[str, Any]:
        """Return difference and interval of the two rows' runs of some seeds."""
        # Intervals that are kept need no metrics, which take a second to import.
        from poserep.metrics.bootstrap import paired_bootstrap
        from poserep.report.compare.stored import check_protocols, read_side

        runs, boxes = [], row.row.boxes or self.boxes
        for side in (row, base):
            runs += read_side(f"{','.join(str(side.runs[seed]) for seed in seeds)}:{side.readout}", boxes)
        for run in runs:
            check_protocols(runs[0], run)
        resamplers = [self._resampler(run.path, run.readout, metric, boxes) for run in runs]
        n = len(seeds)
        same = all(row.runs[seed].name == base.runs[seed].name for seed in seeds)
        found = paired_bootstrap(resamplers[:n], resamplers[n:], metric, self.samples, level=CONFIDENCE, same=same)
        for run, value in zip(runs, found.a.values + found.b.values, strict=True):
            if not run.agrees(metric, value):
                was = f"was {run.values[metric]:.6g} when it was evaluated"
                raise InputError(f"{metric} of {run.name} is {value:.6g} here and {was}; use poserep evaluate again")
        record = {key: getattr(found, key) for key in ("difference", "low", "high", "images")}
        if found.seeds:
            record |= {"seeds_low": found.seeds.low, "seeds_high": found.seeds.high}
        return record

    def _open(self, path: Path, readout: str, metric: str, boxes: str) -> Any:
        from poserep.report.compare.stored import read_side, rebuild

        (run,) = read_side(f"{path}:{readout}", boxes)
        scorer, predictions = rebuild(run)
        return scorer.resampler(predictions, [metric])
