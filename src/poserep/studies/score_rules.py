"""Evaluate the finished runs of a table with scores by several rules, and their points as they are.

``python -m poserep.studies.score_rules [--config-dir sweeps] [--config-name scores] [runs=... key=value ...]``

AP ranks persons by their scores, so that two rows with the same points may differ. The rules are:

- ``raw > 0.2``: the scores of published code, of which most leaves joints of 0.2 and less out of a person's score.
- ``raw``: the same, and all joints count, as with the rules that follow.
- ``contract``: the contract's scores, which are 1 for every perfect target.
- ``calibrated``: with the temperature that `poserep.training.calibrate` fits on half of the images.
- ``learnt``: a small head's on the network's features, see `poserep.training.learn_scores`.
- ``oracle``: a person's true OKS, see `poserep.metrics.OracleScoredAP`.

Leaves scores.csv in the study's folder, and with every run the calibrated and the learnt checkpoint of its last row.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from poserep.cli import ended
from poserep.config import compose
from poserep.errors import InputError
from poserep.files import write_text
from poserep.overrides import key_of
from poserep.report.paper_rows import PaperRow, paper_rows
from poserep.report.run_sheets import mean_and_sd
from poserep.runs.rundir import RunDir
from poserep.sheet import Sheet, numbers, texts
from poserep.studies import study_parser
from poserep.sweeps.sweep_file import table_of
from poserep.training.calibrate import calibrate
from poserep.training.evaluate import configure, reevaluate
from poserep.training.learn_scores import learn_scores

ALL = "++representation.codec.score_threshold=0"
RAW = "++representation.codec.score=published"
RULES = {
    "raw > 0.2": [RAW, "++representation.codec.score_threshold=0.2"],
    "raw": [RAW, ALL],
    "contract": [ALL],
    "calibrated": [ALL, "checkpoint=calibrated"],
    "learnt": [ALL, "checkpoint=learnt"],
    "oracle": [ALL, "data.metric._target_=poserep.metrics.OracleScoredAP"],
}


def by_rule(run_dir: RunDir, readout: str, given: Sequence[str]) -> dict[str, float]:
    """Return a run's AP by rule, for one readout and its first kind of boxes.

    ``given`` are overrides of each evaluation. It is an `InputError` if a run's data have no OKS.
    """
    # Both are fitted to the first readout's points and scores.
    given = [*given, f"readouts=[{readout}]"]
    for make in (calibrate, learn_scores):
        make(run_dir.path, configure(run_dir.path, [ALL, *given]))
    found = {}
    for rule, overrides in RULES.items():
        metrics = reevaluate(run_dir.path, configure(run_dir.path, [*overrides, *given]))["metrics"]
        values = next(iter(metrics.values()))[readout]
        if "AP" not in values:
            raise InputError(f"{run_dir.path}: its data are not judged by AP, so that no score ranks its persons")
        found[rule] = values["AP"]
    return found


def scores_sheet(title: str, rows: Sequence[tuple[PaperRow, Sequence[dict[str, float]]]]) -> Sheet:
    """Return the table: for each row and rule the mean over seeds, with the standard deviation between them."""
    lines = []
    for row, values in rows:
        columns = (tuple(each[rule] for each in values) for rule in RULES)
        lines.append([row.row.name, row.readout, str(len(values)), *(mean_and_sd(column, 1) for column in columns)])
    return Sheet(title, (*texts("row", "readout"), *numbers("seeds", *RULES)), lines)


def show_scores(directory: Path, name: str, given: Sequence[str]) -> None:
    """Evaluate what has finished of a sweep file's table, write and print; no such table or run: `InputError`."""
    own = [override for override in given if key_of(override) in ("runs", "study")]
    table, cfg = table_of(directory, name), compose(own, name, directory).cfg
    study = Path(cfg.runs) / cfg.study
    finished = [row for row in paper_rows(table, study) if row.runs] if table else []
    if not finished:
        raise InputError(f"{study} has no finished run of a row of {directory / name}.yaml; poserep sweep run {name}")
    settings = [override for override in given if override not in own]
    rows = [(row, [by_rule(RunDir(path), row.readout, settings) for path in row.runs.values()]) for row in finished]
    sheet = scores_sheet(f"AP by score: {table.title if table else name}", rows)
    write_text(study / "scores.csv", sheet.csv())
    sheet.show()
    print(f"table: {study / 'scores.csv'}")


def main() -> int:
    """Run the second half of ``make reproduce-scores``."""
    given = study_parser("-m poserep.studies.score_rules", __doc__, "scores").parse_intermixed_args()
    show_scores(given.config_dir, given.config_name, given.overrides)
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
