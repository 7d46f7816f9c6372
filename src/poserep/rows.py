"""Results of a study as comparable rows: what may be joined, what must be told apart, what is missing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from poserep.results import calibration, scheme, settings

# Of calibration: title, key in a result, and whether less is better.
MEASURES = (
    ("mean score", "mean_score", False),
    ("mean OKS", "mean_oks", False),
    ("ECE", "ece", True),
    ("AURC", "aurc", True),
)


@dataclass(frozen=True)
class Row:
    """One readout of one configuration, over its seeds.

    Attributes:
        scheme: Title of the representation.
        readout: Name of the readout.
        size: Of the input.
        setting: What else sets the row apart from others of its scheme and size.
        params: Parameters, millions.
        gmacs: True multiply-accumulates for one crop, billions.
        values: Per kind of boxes and metric, one value per seed, percent.
        protocol: What else the numbers depend on; equal within a column or marked.
        real: Whether the data are photographs.
        calibration: Per measure of calibration, one value per seed, from 0 to 1; empty unless every seed has it.
        note: What a reader of the row must know, as that its settings are not published.
    """

    scheme: str
    readout: str
    size: str
    setting: str
    params: float
    gmacs: float
    values: Mapping[str, Mapping[str, Sequence[float]]]
    protocol: str
    real: bool
    calibration: Mapping[str, Sequence[float]] = field(default_factory=dict)
    note: str = ""

    @property
    def name(self) -> str:
        """The scheme, marked if there is a note."""
        return f"{self.scheme} †" if self.note else self.scheme

    def cell(self, boxes: str, metric: str) -> str:
        """Mean, and the standard deviation over seeds if there are several."""
        return _over_seeds(self.values.get(boxes, {}).get(metric, ()), 1)

    def calibration_cell(self, measure: str) -> str:
        """As `cell`, of a measure of calibration."""
        return _over_seeds(self.calibration.get(measure, ()), 3)

    @property
    def seeds(self) -> int:
        """How many runs the row stands for."""
        return max(len(v) for by in self.values.values() for v in by.values())


def _over_seeds(values: Sequence[float], digits: int) -> str:
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"


def protocol_line(protocols: Mapping[str, Mapping[str, Any]]) -> str:
    """What makes numbers comparable, on one line, for all kinds of boxes of a run."""
    first = next(iter(protocols.values()))
    hashes = {name: digest for protocol in protocols.values() for name, digest in protocol["hashes"].items()}
    # Not 1 only where a calibrated checkpoint was evaluated.
    temperature = first.get("temperature", 1.0)
    tempered = f" tempered by {temperature:.3g}" if temperature != 1 else ""
    counts = ", ".join(f"{protocol['instances']} {boxes} boxes" for boxes, protocol in protocols.items())
    return (
        f"{first['data']}, {counts} ({', '.join(f'{name} {digest}' for name, digest in hashes.items())}), "
        f"flip test {'on' if first['flip_test'] else 'off'}, score {first['score']}{tempered} "
        f"above {first['score_threshold']:g}, OKS-NMS {first['metric'].get('nms_threshold')}, "
        f"{first['align']} alignment, area of the {first['area']}"
    )


def collect(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows by size, scheme and setting; only seeds are joined."""
    cells: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result, setting in zip(results, settings(results), strict=True):
        for readout in next(iter(result["metrics"].values())):
            key = (*scheme(result), setting, readout, protocol_line(result["protocol"]))
            cells.setdefault(key, []).append(result)
    rows = []
    for (title, size, setting, readout, protocol), found in cells.items():
        values = {
            boxes: {m: [r["metrics"][boxes][readout][m] for r in found] for m in by[readout]}
            for boxes, by in found[0]["metrics"].items()
        }
        about = found[0]["cost"]
        real = all(p["real"] for p in found[0]["protocol"].values())
        scores = [calibration(r).get(readout) for r in found]
        measures = {key: [s[key] for s in scores if s] for _, key, _ in MEASURES} if all(scores) else {}
        cost = about["params"] / 1e6, about["gmacs"]
        note = found[0]["config"]["representation"].get("note", "")
        rows.append(Row(title, readout, size, setting, *cost, values, protocol, real, measures, note))
    order = list(dict.fromkeys(row.scheme for row in rows))
    return sorted(rows, key=lambda r: ([int(n) for n in r.size.split("x")], order.index(r.scheme), r.setting))


def notes(rows: Sequence[Row]) -> list[str]:
    """The notes of marked rows, with their schemes."""
    found = dict.fromkeys((row.note, row.scheme) for row in rows if row.note)
    return [f"† {', '.join(s for n, s in found if n == note)}: {note}" for note in dict.fromkeys(n for n, _ in found)]


def unfinished(study: Path) -> list[tuple[str, str]]:
    """Cells without a result, and why."""
    missing = []
    for folder in sorted(p.parent for p in study.glob("*/config.yaml") if not (p.parent / "result.json").exists()):
        path = folder / "status.json"
        status = json.loads(path.read_text()) if path.exists() else {"state": "not started"}
        missing.append((folder.name, f"{status['state']} {status.get('error', '')}".strip()))
    return missing


def recipe(result: Mapping[str, Any]) -> str:
    """How the runs were trained, on one line."""
    config, about = result["config"], result["cost"]
    return (
        f"{about['train_instances']} persons × {config['trainer']['epochs']} epochs, batch {about['batch']}, "
        f"{config['optim']['optimizer']['_target_'].split('.')[-1]} with peak LR {about['lr']:.1e}, "
        f"{config['optim']['schedule']['_target_'].split('.')[-1].replace('_', ' ')} schedule, backbone "
        f"{config['names']['backbone']}, weights "
        f"{config['backbone']['weights'] or 'random'}"
    )
