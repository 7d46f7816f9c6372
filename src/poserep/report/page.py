"""The HTML page of a study, everything inside it."""

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import mean
from typing import Any

import jinja2

from poserep.report.comparison_sheets import protocol_lines
from poserep.report.names import settings
from poserep.report.rows import Row, best, comparisons, diagnoses, is_best, notes, recipe
from poserep.report.sheet import MARK, Sheet
from poserep.runs.values import MEASURES


def page(
    title: str,
    sheets: Sequence[Sheet],
    rows: Sequence[Row],
    results: Sequence[Mapping[str, Any]],
    missing: Sequence[tuple[str, str]],
) -> str:
    """The page as text.

    Args:
        title: Of the study.
        sheets: Of the study's table, if it has one, to stand on top.
        rows: The general comparison.
        results: The records that it is of.
        missing: Runs without a result, and why.
    """
    # Every run prints a table; only pages need matplotlib.
    from poserep.report.figures.draw import draw

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("poserep.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    lowest: dict[tuple[str, str, str], float] = {}
    for row in rows:
        # Scores of 0 throughout would err least on a network that finds nothing.
        known = row.calibration if any(row.calibration.get("mean_score", ())) else {}
        for measure, over_seeds in known.items():
            where = (row.protocol, row.size, measure)
            lowest[where] = min(lowest.get(where, 1.0), mean(over_seeds))
    speed = [
        {
            "scheme": r["config"]["representation"]["title"],
            "setting": setting,
            "size": r["config"]["input_size"],
            "seed": r["config"]["seed"],
            "img_s": r["speed"]["img_s"],
            "wait": r["speed"]["data_wait"],
            "minutes": r["seconds"]["all"] / 60,
            "device": f"{r['devices']} × {r['device']}",
        }
        for r, setting in zip(results, settings(results), strict=True)
    ]
    return environment.get_template("report.html.j2").render(
        title=title,
        sheets=sheets,
        mark=MARK,
        rows=rows,
        varied=any(row.setting for row in rows),
        comparisons=comparisons(rows),
        protocol_lines=protocol_lines,
        diagnoses=diagnoses,
        is_best=partial(is_best, found=best(rows)),
        measures=MEASURES,
        lowest=lowest,
        mean=mean,
        missing=missing,
        notes=notes(rows),
        real=all(row.real for row in rows),
        smoke=any(r["config"]["trainer"].get("limit") for r in results),
        figures=draw(results) if results else {},
        speed=speed,
        recipes=sorted({recipe(r) for r in results}),
        provenance=results[0]["provenance"] if results else None,
    )
