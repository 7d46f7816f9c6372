"""Sides of a comparison that are results of other programs, scored as a run of the other side was."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poserep.config import DictConfig, OmegaConf, as_dict
from poserep.data.from_config import root_of
from poserep.errors import InputError, first_line
from poserep.files import file_hash
from poserep.metrics.finished_results import results_of
from poserep.metrics.protocol import FINISHED, UNKNOWN
from poserep.report.compare.stored import StoredEvaluation, check_files, evaluated_joints
from poserep.runs.rundir import RunDir

# Ending of what `poserep evaluate --results` writes beside a result file.
EVALUATED = ".evaluation.json"


def read_result_files(sides: Sequence[str], run: StoredEvaluation | None) -> list[list[StoredEvaluation]]:
    """Read the sides that are result files, or their evaluations, each one or several joined by commas.

    They are scored as the ``run`` was; without one, or if an evaluation is named, as in that. Without either, and for
    a file that is named twice on a side, it is an `InputError`.
    """
    paths = [[Path(path) for path in side.split(",")] for side in sides]
    records = {path: _evaluation(path, run is None) for side in paths for path in side}
    known = next((record for record in records.values() if record), None)
    for side in paths:
        hashes = [file_hash(_results(path, records[path])) for path in side]
        if len(set(hashes)) < len(side):
            raise InputError(f"{','.join(map(str, side))}: two files hold the same results; name one of them")
    return [[_read(path, records[path] or (None if run else known), run) for path in side] for side in paths]


def _evaluation(path: Path, also_beside: bool) -> dict[str, Any] | None:
    """Return the record of an evaluation of results that a path names, or that lies beside the results it names."""
    named = path.name.endswith(EVALUATED)
    file = path if named else path.with_suffix(EVALUATED)
    if not named and not (also_beside and file.is_file()):
        return None
    try:
        record: dict[str, Any] = json.loads(file.read_text())
        if not {"results", "config", "protocol"} <= record.keys():
            raise ValueError("it is no evaluation of results")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{file}: {first_line(error)}; write it with poserep evaluate --results FILE") from error
    results, recorded = file.with_name(record["results"]), record["protocol"][UNKNOWN][FINISHED]["hashes"]["results"]
    if named and results.is_file() and file_hash(results) != recorded:
        raise InputError(f"{results} has changed since {file.name}: evaluate it again with poserep evaluate --results")
    return record


def _results(path: Path, record: dict[str, Any] | None) -> Path:
    file = path.with_name(record["results"]) if record and path.name.endswith(EVALUATED) else path
    if not file.is_file():
        raise InputError(f"{file} does not exist; name a run directory or a file of results in COCO's format")
    return file


def _read(path: Path, record: dict[str, Any] | None, run: StoredEvaluation | None) -> StoredEvaluation:
    file, joints = _results(path, record), None
    if record:
        cfg = OmegaConf.create(record["config"])
    elif run:
        cfg = OmegaConf.create(run.result["config"])
        assert isinstance(cfg, DictConfig)
        check_files(run, cfg, root_of(cfg))
        joints = evaluated_joints(run)
    else:
        raise InputError(
            f"{path}: neither side says what results are scored against; compare them with a run, or write "
            f"poserep evaluate --results {path} data=... first"
        )
    assert isinstance(cfg, DictConfig)
    scored = results_of(cfg, file, joints)
    if scored.tally.left_out or scored.tally.mended:
        print(f"note: {file.name}: {scored.tally.line()}", file=sys.stderr)
    people = {person["image_id"] for person in scored.scorer.persons()[0]}
    if missed := len(people - {*scored.results.image_id.tolist()}):
        print(
            f"note: {file.name}: no result on {missed} of {len(people)} images with people, who count as missed",
            file=sys.stderr,
        )
    scores = scored.scorer(scored.results)
    by = {
        name: {UNKNOWN: {FINISHED: value}}
        for name, value in (("metrics", scores.values), ("diagnosis", scores.diagnosis))
    }
    result = {
        "config": {**as_dict(cfg), "seed": None},
        "columns": list(scored.scorer.columns),
        "protocol": {UNKNOWN: {FINISHED: scored.protocol.record()}},
        **by,
    }
    return StoredEvaluation(RunDir(file.parent), "", result, UNKNOWN, FINISHED, file, (scored.scorer, scored.results))
