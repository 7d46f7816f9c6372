"""Which charts a study's dashboards have, as data; `poserep.dashboards` makes panels of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poserep.entry import Entry, read_entry
from poserep.errors import InputError
from poserep.results import load_results

# Of schemes, in their order; the eight are told apart by readers who see few colours (Okabe and Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")


@dataclass(frozen=True)
class Chart:
    """One panel, before W&B's package has made it.

    Attributes:
        title: Above it.
        kind: ``scatter`` (a point for each run), ``bars`` (means over runs of a kind) or ``curves`` (by epoch).
        y: Keys of the history for curves, of the summary otherwise.
        x: Key of the configuration or the summary, or, for bars, the key of the configuration by which runs are joined.
    """

    title: str
    kind: str
    y: tuple[str, ...]
    x: str = "epoch"


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
        """By id of the run; runs of a scheme have one."""
        schemes = list(dict.fromkeys(e.config["setting"]["scheme"] for e in self.entries))
        return {e.id: COLOURS[schemes.index(e.config["setting"]["scheme"]) % len(COLOURS)] for e in self.entries}


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
        over = [
            Chart(f"{name} over input height, px", "scatter", (key,), "setting.height"),
            Chart(f"{name} over k, bins per px", "scatter", (key,), "setting.k"),
            Chart(f"{name} over sigma, bins", "scatter", (key,), "setting.sigma"),
            Chart(f"{name} by smoothing", "bars", (key,), "setting.smoothing"),
        ]
        found[name] = [Chart(f"{name} by scheme", "bars", (key,), "setting.scheme")]
        found[name] += [chart for chart in over if len(values(study, chart.x)) > 1]
        found[name].append(Chart(f"{name} over GMACs", "scatter", (key,), "cost/GMACs"))
        found[name].append(Chart(f"{name} over parameters, millions", "scatter", (key,), "cost/params_M"))
    logged = {key for entry in study.entries for row in entry.history.values() for key in row}
    chief = [f"val/{metric}_{boxes}" for metric, boxes in study.measured]
    wanted = ["train/loss", *chief, "speed/img_s"]
    curves = [Chart(key, "curves", (key,)) for key in wanted if key in logged]
    found |= {"Training": curves} if curves else {}
    scored = [m for m in ("result/ece_gt", "result/aurc_gt") if any(m in e.summary for e in study.entries)]
    found |= {"Scores": [Chart(f"{m} by scheme", "bars", (m,), "setting.scheme") for m in scored]} if scored else {}
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
