"""Evaluate the results of another program as those of runs are: values, protocol, calibration and errors."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from poserep.config import DictConfig, as_dict
from poserep.errors import InputError
from poserep.files import provenance, write_json
from poserep.metrics.calibration import calibration_summary, labelled_joints
from poserep.metrics.finished_results import LEAST_OKS, count_matched, matched_with_persons, results_of
from poserep.metrics.protocol import FINISHED, UNKNOWN
from poserep.metrics.scorer import FinishedResults, Predictions
from poserep.metrics.taxonomy import error_breakdown
from poserep.overrides import refuse_missing
from poserep.runs.create import check
from poserep.training.evaluation_sheet import evaluation_sheet

# What an evaluation of results depends on.
KEPT = ("data", "input_size", "trainer")


def evaluate_results(file: Path, cfg: DictConfig) -> dict[str, Any]:
    """Evaluate a result file of another program, write its evaluation beside it, and return the record.

    The file is scored as it stands. For errors by joint and calibration its people are matched with annotated persons,
    see `matched_with_persons`. A file that cannot be read, or a setting out of range, is an `InputError`.
    """
    refuse_missing(cfg)
    check(cfg)
    scored = results_of(cfg, file)
    scorer, results = scored.scorer, scored.results
    scores = scorer(results)
    record: dict[str, Any] = {
        "results": file.name,
        "config": {key: value for key, value in as_dict(cfg).items() if key in KEPT},
        "metrics": {UNKNOWN: {FINISHED: scores.values}},
        "columns": list(scorer.columns),
        "lower": sorted(scorer.lower),
        "protocol": {UNKNOWN: {FINISHED: scored.protocol.record()}},
        "diagnosis": {UNKNOWN: {FINISHED: scores.diagnosis}} if scores.diagnosis else {},
        "loaded": {FINISHED: scored.tally.record()},
        "provenance": provenance(),
    }
    notes, lines = [scores.diagnosis] if scores.diagnosis else [], [f"results: {scored.tally.line()}"]
    try:
        matched = matched_with_persons(results, scorer.truth, scorer.max_detections)
        record["matched"] = count_matched(matched, results, scorer.truth)
        counts = ", ".join(f"{count} {what}" for what, count in record["matched"].items())
        lines.append(f"matched by OKS of {LEAST_OKS:g} or more, the best score first: {counts}")
        errors = error_breakdown(matched, scorer.truth)
        record["errors"] = {UNKNOWN: {FINISHED: errors}}
        kinds = ", ".join(f"{kind} {share:.1%}" for kind, share in errors["taxonomy"]["share"].items())
        lines.append(f"{errors['labelled']} labelled joints of persons with a result: {kinds}")
        record["calibration"] = {UNKNOWN: {FINISHED: _calibration(results, matched, scorer.truth)}}
    except InputError as error:
        what = "calibration is" if "errors" in record else "errors by joint and calibration are"
        notes.append(f"{what} left out: {error}")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    evaluation_sheet(f"{file.name}, results of another program", record).show()
    written = file.with_suffix(".evaluation.json")
    write_json(written, record)
    print("\n".join([*lines, f"written: {written}"]))
    return record


def _calibration(results: FinishedResults, matched: Predictions, truth: Any) -> dict[str, Any]:
    """Measure how well the scores of joints follow their OKS; it is an `InputError` if the file has no such scores."""
    low, high = results.score.min(), results.score.max()
    if np.isnan(low):
        raise InputError("not every joint has a score")
    if low < 0 or high > 1 or low == high:
        raise InputError(f"scores of joints must differ and lie in [0, 1]; these are from {low:g} to {high:g}")
    score, oks, _ = labelled_joints(matched, truth)
    return calibration_summary(score, oks)
