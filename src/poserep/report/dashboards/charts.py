"""Which charts a study's dashboards have, as data; `poserep.dashboards` makes panels of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poserep.drawing import colours
from poserep.errors import InputError
from poserep.runs.rundir import load_results
from poserep.runs.wandb.entry import Entry, read_entry


@dataclass(frozen=True)
class Chart:
    """One panel, before W&B's package has made it.

    Attributes:
        title: Above it.
        kind: ``scatter`` (a point for each run), ``front`` (points, and the best so far from left to right), ``bars``
            (means over the runs of a kind) or ``curves`` (by epoch, means over the runs of a kind).
        y: Keys of the history for curves, of the summary otherwise.
        x: Key of the configuration or the summary, or, for bars, the key of the configuration by which runs are joined.
        lower: Whether the best is the lowest.
    """

    title: str
    kind: str
    y: tuple[str, ...]
    x: str = "epoch"
    lower: bool = False


@dataclass(frozen=True)
class Study:
    """What its dashboards are made from.

    Attributes:
        name: Of its folder.
        results: Of its finished runs.
        entries: Of the same runs, as they are shown.
    """

    name: str
    results: Sequence[Mapping[str, Any]]
    entries: Sequence[Entry]

    @property
    def measured(self) -> list[tuple[str, str]]:
        """Chief metric and kind of boxes of each kind of result."""
        found = [(r["columns"][0], boxes) for r in self.results for boxes in r["metrics"]]
        return list(dict.fromkeys(found))

    @property
    def colours(self) -> dict[str, str]:
        """By id of the run; runs of a scheme have one, the same as on the report's page."""
        of = {entry.id: entry.config["setting"]["scheme"] for entry in self.entries}
        found = colours(list(of.values()))
        return {run: found[scheme] for run, scheme in of.items()}


def read_study(folder: Path) -> Study:
    """A study's finished runs.

    Raises:
        InputError: If there is none.
    """
    results = load_results(folder)
    if not results:
        raise InputError(f"{folder} holds no finished run")
    return Study(folder.name, results, [read_entry(result["path"]) for result in results])


def charts(study: Study) -> dict[str, list[Chart]]:
    """By section; what only one value was tried of gets none."""
    found: dict[str, list[Chart]] = {}
    for metric, boxes in study.measured:
        key, name = f"result/{metric}_{boxes}", f"{metric} ({boxes} boxes)"
        # Points are runs, and means are over seeds: a mean over sizes or modes would be of nothing.
        over = [
            Chart(f"{name} over input height, px", "scatter", (key,), "setting.height"),
            Chart(f"{name} over k, bins per px", "scatter", (key,), "setting.k"),
            Chart(f"{name} over sigma, bins", "scatter", (key,), "setting.sigma"),
            Chart(f"{name} over epsilon, the mass that smoothing spreads", "scatter", (key,), "setting.epsilon"),
        ]
        found[name] = [Chart(f"{name}, mean over seeds", "bars", (key,), "setting.kind")]
        found[name] += [chart for chart in over if len(values(study, chart.x)) > 1]
        less = any(metric in result["lower"] for result in study.results)
        found[name] += [
            Chart(f"{name} over {what}, with the front", "front", (key,), f"cost/{cost}", less)
            for what, cost in (("GMACs", "GMACs"), ("parameters, millions", "params_M"))
        ]
    logged = {key for entry in study.entries for row in entry.history.values() for key in row}
    chief = [f"val/{metric}_{boxes}" for metric, boxes in study.measured]
    wanted = ["train/loss", *chief, "speed/img_s"]
    curves = [Chart(key, "curves", (key,)) for key in wanted if key in logged]
    found |= {"Training": curves} if curves else {}
    scored = [m for m in ("result/ece_gt", "result/aurc_gt") if any(m in e.summary for e in study.entries)]
    bars = [Chart(f"{m}, mean over seeds", "bars", (m,), "setting.kind") for m in scored]
    found |= {"Scores": bars} if bars else {}
    return found


def values(study: Study, key: str) -> set[Any]:
    """What a key of the configuration, dotted, is set to."""
    found = set()
    for entry in study.entries:
        node: Any = entry.config
        for part in key.split("."):
            node = node[part]
        found.add(node)
    return found - {None}
