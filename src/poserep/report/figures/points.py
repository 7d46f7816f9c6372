"""The points of figures: means over seeds, of runs whose numbers compare."""

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any, NamedTuple

from poserep.metrics.protocol import truth_and_metric
from poserep.report.labels import Result, differing_keys, height_and_width, input_size, scheme_title, setting_text
from poserep.runs.identity import flatten
from poserep.runs.result_values import is_undefined

# Settings that make no series of their own: names, and seeds, over which means are taken.
UNSEEN = ("seed", "representation.name", "representation.title", "representation.note")


class Point(NamedTuple):
    """One configuration's best readout at ``x``: the chief metric's ``values``, one per seed.

    ``series`` are the properties that points of one series share, ``gmacs`` true multiply-accumulates, billions.
    """

    series: tuple[tuple[str, Any], ...]
    x: Any
    scheme: str
    size: str
    gmacs: float
    values: list[float]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return mean(self.values)

    @property
    def sd(self) -> float:
        """Standard deviation over seeds; 0 for a single one."""
        return stdev(self.values) if len(self.values) > 1 else 0.0


class ResultGroup(NamedTuple):
    """Results whose numbers compare, in their chief metric; ``name`` sets it apart, and is empty for the only group."""

    name: str
    results: list[Result]
    boxes: str
    metric: str
    lower: bool

    @property
    def axis(self) -> str:
        """Metric, boxes and unit, as the label of an axis; also that the best of several readouts is shown."""
        several = any(len(result["metrics"][self.boxes]) > 1 for result in self.results)
        return f"{self.metric}_{self.boxes}, {'image px' if self.lower else 'percent'}" + ", best readout" * several

    def title(self, over: str) -> str:
        """Return the title of a plot of the metric over something."""
        return f"{self.metric} over {over}" + (f": {self.name}" if self.name else "")

    def points(
        self, describe: Callable[[Result], Mapping[str, Any] | None], x: str, hidden: Sequence[str] = ()
    ) -> list[Point]:
        """Return one point for each configuration, of its best readout; those with nothing to measure are left out.

        A figure of default readouts would compare readouts: a heatmap's costs nothing.

        ``describe`` returns the properties by which the figure tells points apart, or None if a result does not belong
        in it. The property ``x`` is the position. The others make the series, with the settings in which runs that
        agree in all properties still differ, but for ``hidden`` keys that follow from the properties.
        """
        members = [(result, about) for result in self.results if (about := describe(result)) is not None]
        settings = _settings([r for r, _ in members], [json.dumps(about) for _, about in members], hidden)
        points: dict[str, dict[str, Point]] = {}
        for (result, about), setting in zip(members, settings, strict=True):
            series = tuple({**{k: v for k, v in about.items() if k != x}, **setting}.items())
            for readout, values in result["metrics"][self.boxes].items():
                if is_undefined(value := values.get(self.metric)):
                    continue
                point = Point(series, about[x], scheme_title(result), input_size(result), result["cost"]["gmacs"], [])
                # Scheme and size keep runs apart also where a figure is about something else.
                same = points.setdefault(json.dumps([series, point.x, point.scheme, point.size]), {})
                same.setdefault(readout, point).values.append(value)
        choose = min if self.lower else max
        return [choose(by.values(), key=lambda point: point.mean) for by in points.values()]


def grouped_results(results: Sequence[Result]) -> list[ResultGroup]:
    """Return the results by how they were evaluated, all of the first result's metric and boxes."""
    boxes, shown = next(iter(results[0]["metrics"])), results[0]["columns"]
    groups: dict[str, tuple[dict[str, Any], list[Result]]] = {}
    for result in results:
        if boxes in result["metrics"] and result["columns"] == shown:
            protocol = flatten(truth_and_metric(next(iter(result["protocol"][boxes].values()))))
            groups.setdefault(json.dumps(protocol, sort_keys=True), (protocol, []))[1].append(result)
    known = [protocol for protocol, _ in groups.values()]
    keys = dict.fromkeys(key for protocol in known for key in protocol)
    differ = [key for key in keys if len({json.dumps(protocol.get(key)) for protocol in known}) > 1]
    # Another data set has other files, which need no mention.
    differ = ["data"] if "data" in differ and len({protocol["data"] for protocol in known}) == len(known) else differ
    names = (", ".join(f"{key.split('.')[-1]} {protocol.get(key)}" for key in differ) for protocol in known)
    about = boxes, shown[0], shown[0] in results[0]["lower"]
    return [ResultGroup(name, members, *about) for name, (_, members) in zip(names, groups.values(), strict=True)]


def described(result: Result) -> dict[str, str]:
    """Return scheme, network and size of a result."""
    network = str(result["config"]["names"]["backbone"])
    return {"scheme": scheme_title(result), "network": network, "size": input_size(result)}


def area(size: str) -> int:
    """Return the number of pixels of an input size."""
    height, width = height_and_width(size)
    return height * width


def series_names(points: Sequence[Point], always: Sequence[str], width: int) -> dict[tuple[tuple[str, Any], ...], str]:
    """Return a name for every series: some properties always, others where series differ in them.

    Names are wrapped to lines of ``width`` characters, two at most; longer ones end in dots.
    """
    described = {point.series: dict(point.series) for point in points}
    tried = dict.fromkeys(key for series in described.values() for key in series)
    keys = [key for key in tried if key in always or len({json.dumps(s.get(key)) for s in described.values()}) > 1]
    names = {}
    for series, about in described.items():
        line = ", ".join(_property(key, about[key]) for key in keys if key in about)
        names[series] = textwrap.fill(line, width, max_lines=2, placeholder=" …", break_on_hyphens=False)
    return names


def _property(key: str, value: Any) -> str:
    if key in ("scheme", "network", "size"):
        return str(value)
    name, _, text = setting_text(key, value).partition("=")
    return f"{name.split('.')[-1]}={text}"


def _settings(results: Sequence[Result], alike: Sequence[str], hidden: Sequence[str]) -> list[dict[str, Any]]:
    """Return of each result the keys in which any that are ``alike`` differ."""
    flat = [flatten(result["config"]) for result in results]
    differ: dict[str, None] = {}
    for which in dict.fromkeys(alike):
        members = [f for f, group in zip(flat, alike, strict=True) if group == which]
        differ |= dict.fromkeys(differing_keys(members, (*UNSEEN, *hidden)))
    # Lists, such as milestones, are compared and shown as they are written.
    return [{k: f[k] if isinstance(f[k], str | int | float) else str(f[k]) for k in differ if k in f} for f in flat]
