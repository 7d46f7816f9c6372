"""Records of runs that were never run, for tests of what reads them; and of stored runs, scored again and changed."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from poserep.report.compare.stored import StoredEvaluation, rebuild
from poserep.runs.rundir import RunDir

SIMCC = {"_target_": "poserep.codecs.SimCC", "k": 2, "label": {"_target_": "poserep.codecs.Gaussian", "sigma": 4.0}}


def config(study: str = "table", codec: Mapping[str, Any] = SIMCC, size: str = "64x64", **more: Any) -> dict[str, Any]:
    """As much of a configuration as readers of records look at."""
    return {
        "study": study,
        "representation": {"name": "simcc", "title": "SimCC Gaussian", "codec": dict(codec)},
        "names": {"backbone": "resnet18_s8"},
        "data": {"name": "synthetic-easy", "real": False},
        "input_size": size,
        "seed": 0,
        **more,
    }


def line(epoch: int, **metrics: float) -> dict[str, Any]:
    """A line of metrics.jsonl."""
    return {"step": 2 * epoch + 1, **{k.replace("__", "/"): v for k, v in metrics.items()}, "epoch": epoch}


def result(settings: Mapping[str, Any], ap: float = 50.0) -> dict[str, Any]:
    """As much of a result, of two readouts and both kinds of boxes; there was no large person."""
    values = {"AP": ap, "AP_L": -1.0}
    return {
        "config": dict(settings),
        "columns": ["AP"],
        "lower": [],
        "protocol": {},
        "provenance": {},
        "metrics": {boxes: {"argmax": values, "dark": {**values, "AP": ap + 1}} for boxes in ("gt", "det")},
        "calibration": {"gt": {"argmax": {"ece": 0.25, "aurc": 0.5}, "dark": {"ece": 0.125, "aurc": 0.5}}},
        "cost": {"params": 1_500_000, "gmacs": 0.25},
        "speed": {"img_s": 100.0},
        "seconds": {"all": 60.0},
    }


def write(
    study: Path, name: str, settings: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], ap: float | None = 50.0
) -> Path:
    """A run directory; without ``ap`` its run has not finished."""
    run_dir = study / name
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "config.yaml").write_text(yaml.safe_dump(dict(settings)))
    (run_dir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    if ap is not None:
        (run_dir / "result.json").write_text(json.dumps(result(settings, ap)))
    return run_dir


def score_again(side: StoredEvaluation, threshold: float | None = None) -> dict[str, float]:
    """The values of a stored evaluation as its scorer gives them."""
    scorer, predictions = rebuild(side, threshold)
    return scorer(predictions).values


def change_result(path: Path | RunDir, change: Callable[[dict], object]) -> None:
    """Change a run's result file."""
    result = RunDir(path).result()
    change(result)
    RunDir(path).write_result(result)


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, for a minute at most."""
    ends = time.monotonic() + 60
    while not condition() and time.monotonic() < ends:
        time.sleep(0.02)
    assert condition()
