"""What results say at each point of a figure: means over seeds, of runs whose numbers compare."""

import json
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any, NamedTuple

from poserep.metrics.protocol import truth_and_metric
from poserep.report.figures.style import Result, title
from poserep.runs.identity import ELSEWHERE, beneath, flatten
from poserep.runs.values import columns

# Told by their names, or decided by what they are.
UNTOLD = ("seed", "representation.name", "representation.title", "representation.note")


class Point(NamedTuple):
    """One configuration over its seeds, with its default readout.

    Attributes:
        series: What points that belong together have in common, by name.
        x: Where it stands.
        scheme: Title of the representation.
        size: Of the input.
        gmacs: True multiply-accumulates for one crop, billions.
        values: The chief metric of each seed.
    """

    series: tuple[tuple[str, Any], ...]
    x: Any
    scheme: str
    size: str
    gmacs: float
    values: list[float]

    @property
    def mean(self) -> float:
        """Over seeds."""
        return mean(self.values)

    @property
    def sd(self) -> float:
        """Standard deviation over seeds; 0 of a single one."""
        return stdev(self.values) if len(self.values) > 1 else 0.0


class Group(NamedTuple):
    """Results whose numbers compare.

    Attributes:
        name: What sets it apart from other groups, empty if there is one.
        results: At least one.
        boxes: Kind of boxes that the values are of.
        metric: Name of the chief metric.
        lower: Whether less of it is better.
    """

    name: str
    results: list[Result]
    boxes: str
    metric: str
    lower: bool

    @property
    def axis(self) -> str:
        """Metric, boxes and unit, as an axis says them."""
        return f"{self.metric}_{self.boxes}, {'image px' if self.lower else 'percent'}"

    def points(
        self, what: Callable[[Result], Mapping[str, Any] | None], x: str, untold: Sequence[str] = ()
    ) -> list[Point]:
        """One point for each configuration; those with nothing to measure are left out.

        Args:
            what: The properties by which the figure tells points apart; None if a result does not belong in it.
            x: Which of them is the position; the others, and settings in which runs that agree in all of them still
                differ, make the series.
            untold: Prefixes of keys that follow from ``what``.
        """
        members = [(result, told) for result in self.results if (told := what(result)) is not None]
        settings = _settings([r for r, _ in members], [json.dumps(told) for _, told in members], untold)
        found: dict[str, Point] = {}
        for (result, told), setting in zip(members, settings, strict=True):
            value = _default(result["metrics"][self.boxes]).get(self.metric)
            if value is None or value != value or value == -1:
                continue
            series = tuple({**{k: v for k, v in told.items() if k != x}, **setting}.items())
            size = result["config"]["input_size"]
            point = Point(series, told[x], title(result), size, result["cost"]["gmacs"], [])
            # Figures may be about something else than scheme and size, which still keep runs apart.
            found.setdefault(json.dumps([series, told[x], point.scheme, size]), point).values.append(value)
        return list(found.values())


def groups(results: Sequence[Result]) -> list[Group]:
    """Results by what they were evaluated on and measured by; all of the first result's metric and boxes."""
    boxes, shown = next(iter(results[0]["metrics"])), columns(results[0])
    found: dict[str, tuple[dict[str, Any], list[Result]]] = {}
    for result in results:
        if boxes in result["metrics"] and columns(result) == shown:
            kept = flatten(truth_and_metric(_default(result["protocol"][boxes])))
            found.setdefault(json.dumps(kept, sort_keys=True), (kept, []))[1].append(result)
    known = [kept for kept, _ in found.values()]
    differ = [key for key in {k: 0 for kept in known for k in kept} if len({json.dumps(k.get(key)) for k in known}) > 1]
    lower = shown[0] in results[0]["lower"]
    # Another data set: that its files are others needs no saying.
    differ = ["data"] if "data" in differ and len({kept["data"] for kept in known}) == len(known) else differ
    return [
        Group(", ".join(f"{k.split('.')[-1]} {kept.get(k)}" for k in differ), members, boxes, shown[0], lower)
        for kept, members in found.values()
    ]


def network(result: Result) -> str:
    """Name of the backbone."""
    return str(result["config"]["names"]["backbone"])


def area(size: str) -> int:
    """Pixels of an input size."""
    height, width = (int(n) for n in size.split("x"))
    return height * width


def names(points: Sequence[Point], always: Sequence[str], width: int) -> dict[tuple[tuple[str, Any], ...], str]:
    """What every series is called: what is always said, and what sets it apart from the others; in lines of ``width``.

    Two lines at most: more settings than these have room for end in dots.
    """
    found = list(dict.fromkeys(point.series for point in points))
    told = [dict(series) for series in found]
    keys = [
        key
        for key in {k: 0 for series in told for k in series}
        if key in always or len({json.dumps(series.get(key)) for series in told}) > 1
    ]
    lines = [", ".join(_said(key, series[key]) for key in keys if key in series) for series in told]
    return {
        series: textwrap.fill(line, width, max_lines=2, placeholder=" …", break_on_hyphens=False)
        for series, line in zip(found, lines, strict=True)
    }


def _said(key: str, value: Any) -> str:
    if key in ("scheme", "network", "size"):
        return str(value)
    short = re.sub(r"\._target_$", "", key).split(".")[-1]
    return f"{short}={str(value).split('.')[-1] if key.endswith('._target_') else value}"


def _default(by_readout: Mapping[str, Any]) -> Any:
    # The first readout is the default one.
    return next(iter(by_readout.values()))


def _settings(results: Sequence[Result], alike: Sequence[str], untold: Sequence[str]) -> list[dict[str, Any]]:
    """Of each result the keys in which any that are ``alike`` differ."""
    hidden = (*ELSEWHERE, *UNTOLD, *untold)
    flat = [{k: v for k, v in flatten(r["config"]).items() if not beneath(k, hidden)} for r in results]
    differ: dict[str, None] = {}
    for which in dict.fromkeys(alike):
        members = [f for f, group in zip(flat, alike, strict=True) if group == which]
        for key in sorted({k for f in members for k in f}):
            if len({json.dumps(f.get(key)) for f in members}) > 1:
                differ[key] = None
    # Lists, as of milestones, are compared and shown as they are written.
    return [{k: f[k] if isinstance(f[k], str | int | float) else str(f[k]) for k in differ if k in f} for f in flat]
