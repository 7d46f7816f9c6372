"""One evaluation of a run as it is built: values, protocol, calibration and errors, as results record them."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning

from poserep.data.split_pictures import picture_hashes
from poserep.errors import InputError
from poserep.files import file_hash, write_json
from poserep.instances import ANNOTATED, Truth
from poserep.metrics.calibration import calibration_summary, labelled_joints
from poserep.metrics.coco import CocoAP, CocoSubmission
from poserep.metrics.evaluated_data import crop_options, data_entries
from poserep.metrics.finished_results import matched_with_persons
from poserep.metrics.protocol import Protocol
from poserep.metrics.scorer import FinishedResults, Predictions
from poserep.metrics.taxonomy import error_breakdown
from poserep.runs.rundir import RunDir
from poserep.training.build import Run
from poserep.training.module import score_temperature, score_threshold


def protocols_of(run: Run, boxes: str) -> dict[str, dict[str, Any]]:
    """Return all that the numbers of each readout depend on besides the weights, as records."""
    cfg, codec = run.cfg, run.module.codec
    annotated = run.tallies[boxes] if boxes in ANNOTATED else None
    common = Protocol(
        **data_entries(cfg, run.module.scorers[boxes], run.joints, annotated),
        boxes=boxes,
        hashes={name: file_hash(path) for name, path in run.files.items() if boxes == "det" or name != "detections"},
        instances=len(run.data.evaluation[boxes]),
        flip_test=cfg.flip_test,
        readout="",
        score=codec.deviations.score if run.module.score_head is None else "learnt",
        temperature=score_temperature(codec),
        score_threshold=score_threshold(codec),
        size=cfg.input_size,
        align=cfg.align,
        crop=crop_options(cfg),
        decoding=codec.options(),
        pictures=picture_hashes(cfg, ["val"]).get("pictures val", ""),
    )
    return {
        name: replace(common, readout=name, flip_test=cfg.flip_test and codec.uses_flip_test(name)).record()
        for name in run.module.readouts
    }


def evaluate(run: Run, trainer: lightning.Trainer) -> dict[str, Any]:
    """Evaluate the module as it is with every readout and every kind of boxes, in one pass a kind.

    Afterwards ``run.module.scored`` holds the predictions.

    Returns:
        ``metrics`` and ``protocol`` by boxes and readout, which of the metrics tables show (``columns``) and of which
        less is better (``lower``), and on the first process why values are surprising (``diagnosis``) and, if annotated
        boxes are among them, ``calibration`` and ``errors``, all by boxes and readout.
    """
    module = run.module
    trainer.test(module, datamodule=run.data, verbose=False)
    scored = module.scored
    record: dict[str, Any] = {
        "metrics": {boxes: {r: s.scores.values for r, s in by.items()} for boxes, by in scored.items()},
        "columns": list(module.scorer.columns),
        "lower": sorted(module.scorer.lower),
        "protocol": {boxes: protocols_of(run, boxes) for boxes in scored},
    }
    if trainer.is_global_zero:
        notes = {b: {r: s.scores.diagnosis for r, s in by.items() if s.scores.diagnosis} for b, by in scored.items()}
        record["diagnosis"] = notes = {boxes: by for boxes, by in notes.items() if by}
        for note in dict.fromkeys(note for by in notes.values() for note in by.values()):
            print(f"note: {note}", file=sys.stderr)
        predictions = annotated_predictions(run)
        measures = (("calibration", _calibration, "calibration is"), ("errors", error_breakdown, "errors by joint are"))
        for key, measure, what in measures:
            try:
                if values := on_annotated(run, predictions, measure):
                    record[key] = {annotated_boxes(run): values}
            except InputError as error:
                print(f"note: {what} left out: {error}", file=sys.stderr)
    return record


def annotated_boxes(run: Run) -> str:
    """Return the kind of boxes with annotated persons that a run is evaluated on, or none."""
    return next((boxes for boxes in run.module.boxes if boxes in ANNOTATED), "")


def annotated_predictions(run: Run) -> dict[str, Predictions]:
    """Return the predictions of the last evaluation for annotated persons, by readout; empty if it had none.

    People who were found in whole images are matched with them, see `matched_with_persons`.
    """
    boxes = annotated_boxes(run)
    predictions = {readout: scored.predictions for readout, scored in run.module.scored.get(boxes, {}).items()}
    if boxes:
        scorer = run.module.scorers[boxes]
        for readout, people in predictions.items():
            if isinstance(people, FinishedResults) and isinstance(scorer, CocoAP):
                predictions[readout] = matched_with_persons(people, scorer.truth, scorer.max_detections)
    return predictions


def on_annotated(
    run: Run, predictions: Mapping[str, Predictions], measure: Callable[[Predictions, Truth], Any]
) -> dict[str, Any]:
    """Measure each readout's predictions for annotated persons, see `annotated_predictions`."""
    return {r: measure(p, run.module.scorers[annotated_boxes(run)].truth) for r, p in predictions.items()}


def _calibration(predictions: Predictions, truth: Truth) -> dict[str, Any]:
    score, oks, _ = labelled_joints(predictions, truth)
    return calibration_summary(score, oks)


def save_submissions(run: Run, run_dir: RunDir, identifier: str) -> list[Path]:
    """Write the files to submit where only a server has the truth, one for each kind of boxes and readout."""
    written = []
    for boxes, by_readout in run.module.scored.items():
        scorer = run.module.scorers[boxes]
        if not isinstance(scorer, CocoSubmission):
            continue
        split = scorer.truth.annotations.stem.rpartition("_")[2]
        for readout, scored in by_readout.items():
            path = run_dir / f"person_keypoints_{split}_{run_dir.name}-{identifier}-{readout}_results.json"
            write_json(path, scorer.results(scored.predictions))
            written.append(path)
    return written


def stored_predictions(run: Run) -> dict[str, Any]:
    """Return the arrays to store of the last evaluation: every prediction, image px, with the ids of its box."""
    arrays: dict[str, Any] = {}
    for boxes, by_readout in run.module.scored.items():
        instances = run.data.evaluation[boxes].instances
        arrays |= {f"{boxes}/{key}": getattr(instances, key) for key in ("image_id", "id", "box")}
        for readout, (predictions, _) in by_readout.items():
            arrays |= predictions.arrays(boxes, readout)
    return arrays
