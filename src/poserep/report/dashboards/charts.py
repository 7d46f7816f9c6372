"""The charts of a study's W&B dashboards, as data; `poserep.report.dashboards.command` makes panels of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poserep.drawing import colours
from poserep.errors import InputError
from poserep.runs.rundir import RunDir, load_results
from poserep.runs.wandb.entry import WandbEntry, read_entry


@dataclass(frozen=True)
class Chart:
    """One chart, before W&B's package makes a panel of it.

    Attributes:
        title: Its title.
        kind: ``scatter`` (a point for each run), ``front`` (points, and the best so far from left to right), ``bars``
            (means over the runs of a kind) or ``curves`` (by epoch, means over the runs of a kind).
        y: Key of the history for curves, of the summary otherwise.
        x: Key of the configuration or the summary; for bars, the key of the configuration by which runs are joined.
        lower: Whether the best is the lowest.
    """

    title: str
    kind: str
    y: str
    x: str = "epoch"
    lower: bool = False


@dataclass(frozen=True)
class Study:
    """What a study's dashboards are made from: results of its finished runs, and the same runs as W&B shows them."""

    name: str
    results: Sequence[Mapping[str, Any]]
    entries: Sequence[WandbEntry]

    @property
    def chief_metrics(self) -> list[tuple[str, str]]:
        """Chief metric and kind of boxes of each kind of result."""
        return list(dict.fromkeys((r["columns"][0], boxes) for r in self.results for boxes in r["metrics"]))

    @property
    def run_colours(self) -> dict[str, str]:
        """Colours by id of the run; runs of a scheme share one, the same as on the report's page."""
        schemes = {entry.id: entry.config["setting"]["scheme"] for entry in self.entries}
        found = colours(list(schemes.values()))
        return {run: found[scheme] for run, scheme in schemes.items()}


def read_study(folder: Path) -> Study:
    """Read a study's finished runs.

    Raises:
        InputError: If there is none.
    """
    results = load_results(folder)
    if not results:
        raise InputError(f"{folder} holds no finished run")
    return Study(folder.name, results, [read_entry(RunDir(result["path"])) for result in results])


def charts(study: Study) -> dict[str, list[Chart]]:
    """Return the charts by section, without those over something of which only one value was tried."""
    sections: dict[str, list[Chart]] = {}
    for metric, boxes in study.chief_metrics:
        key, name = f"result/{metric}_{boxes}", f"{metric} ({boxes} boxes)"
        # Points are runs, and means are over seeds: a mean over sizes or modes would be meaningless.
        sections[name] = [Chart(f"{name}, mean over seeds", "bars", key, "setting.kind")]
        over = {"height": "input height, px", "k": "k, bins per px", "sigma": "sigma, bins"}
        over["epsilon"] = "epsilon, the mass that smoothing spreads"
        for setting, what in over.items():
            if len({entry.config["setting"][setting] for entry in study.entries} - {None}) > 1:
                sections[name].append(Chart(f"{name} over {what}", "scatter", key, f"setting.{setting}"))
        less = any(metric in result["lower"] for result in study.results)
        for cost, what in (("GMACs", "GMACs"), ("params_M", "parameters, millions")):
            sections[name].append(Chart(f"{name} over {what}, with the front", "front", key, f"cost/{cost}", less))
    logged = {key for entry in study.entries for row in entry.history.values() for key in row}
    wanted = ["train/loss", *(f"val/{metric}_{boxes}" for metric, boxes in study.chief_metrics), "speed/img_s"]
    scored = [m for m in ("result/ece_gt", "result/aurc_gt") if any(m in e.summary for e in study.entries)]
    sections["Training"] = [Chart(key, "curves", key) for key in wanted if key in logged]
    sections["Scores"] = [Chart(f"{m}, mean over seeds", "bars", m, "setting.kind") for m in scored]
    return {name: members for name, members in sections.items() if members}
