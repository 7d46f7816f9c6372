"""Stored runs for tests: scored again, and changed."""

from collections.abc import Callable
from pathlib import Path

from poserep.files import write_json
from poserep.report.compare.stored import StoredEvaluation, rebuild
from poserep.runs.rundir import RunDir


def score_again(side: StoredEvaluation, threshold: float | None = None) -> dict[str, float]:
    """Return the values of a stored evaluation as its scorer gives them."""
    scorer, predictions = rebuild(side, threshold)
    return scorer(predictions).values


def change_result(path: Path | RunDir, change: Callable[[dict], object]) -> None:
    """Change a run's result file."""
    run_dir = RunDir(path)
    result = run_dir.result()
    change(result)
    write_json(run_dir.result_file(), result)
