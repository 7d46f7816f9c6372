"""Stored evaluations: the result file and predictions of a run, and the scorer that made the one of the other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poserep.config import DictConfig, OmegaConf, make
from poserep.data.common_joints import common_joints
from poserep.data.from_config import limited_to, root_of, skeleton_of, split_files, takes_scenes, truth_of
from poserep.errors import InputError
from poserep.files import file_hash
from poserep.metrics.protocol import UNKNOWN, Protocol, truth_and_metric
from poserep.metrics.scorer import Predictions, Scorer
from poserep.report.labels import differing_keys
from poserep.runs.identity import flatten
from poserep.runs.rundir import RunDir, is_result, named_result
from poserep.skeleton import Skeleton


@dataclass(frozen=True)
class StoredEvaluation:
    """The stored evaluation of one readout of one run; ``evaluation`` is its id, empty for the run's own.

    Results of another program are no run's: they have their ``file``, and ``scored`` by a run's or their own settings.
    """

    run_dir: RunDir
    evaluation: str
    result: dict[str, Any]
    boxes: str
    readout: str
    file: Path | None = None
    scored: tuple[Scorer, Predictions] | None = None

    @property
    def name(self) -> str:
        """Name of the run, and of the evaluation if it is not the run's own, or that of a file."""
        if self.file:
            return self.file.name
        return f"{self.run_dir.name}/{self.path.stem}" if self.evaluation else self.run_dir.name

    @property
    def path(self) -> Path:
        """The result file."""
        return self.file or self.run_dir.result_file(self.evaluation)

    @property
    def protocol(self) -> Protocol:
        """How predictions were made and scored."""
        return Protocol.load(self.result["protocol"][self.boxes][self.readout])

    @property
    def skeleton_entry(self) -> Any:
        """What its configuration calls the skeleton: a name, a file or the joints."""
        return self.result["config"]["data"].get("skeleton")

    @property
    def values(self) -> dict[str, float]:
        """The recorded values, by metric."""
        return self.result["metrics"][self.boxes][self.readout]

    @property
    def diagnosis(self) -> str:
        """Why values are unexpected, such as an AP of 0; empty unless they are."""
        return self.result.get("diagnosis", {}).get(self.boxes, {}).get(self.readout, "")

    def agrees(self, metric: str, value: float) -> bool:
        """Return whether a value is the recorded one, apart from rounding."""
        return abs(value - self.values[metric]) <= 1e-6 * max(1, abs(value))


def read_sides(a: str, b: str, boxes: str | None) -> tuple[list[StoredEvaluation], list[StoredEvaluation]]:
    """Read the two sides of a comparison as the command line names them, see `read_side`.

    Boxes of B are those of A by default. Results of other programs are scored against the truth, and by the metric, of
    the other side's run; where there is none, by those with which poserep evaluate scored them before.
    """
    given = names_results(a), names_results(b)
    if not any(given):
        side = read_side(a, boxes)
        return side, read_side(b, boxes or side[0].boxes)
    # Scorers take half a second to import.
    from poserep.report.compare.result_files import read_result_files

    runs = [] if all(given) else read_side(b if given[0] else a, boxes)
    files = read_result_files(([a] if given[0] else []) + ([b] if given[1] else []), runs[0] if runs else None)
    return (files[0] if given[0] else runs), (files[-1] if given[1] else runs)


def names_results(argument: str) -> bool:
    """Tell whether a side consists of files of results, which no run has written."""
    paths = [Path(path) for path in argument.split(",")]
    given = [path.suffix == ".json" and not is_result(path) for path in paths]
    if any(given) and not all(given):
        raise InputError(f"{argument}: runs and results of other programs are no single side; compare them as A and B")
    return all(given)


def read_side(argument: str, boxes: str | None) -> list[StoredEvaluation]:
    """Read the runs of one side as the command line names them; they may differ in their seed only (`InputError`)."""
    paths, _, readout = argument.rpartition(":")
    if not paths or "/" in readout:
        paths, readout = argument, ""
    first, *_ = side = [_read(Path(path), readout, boxes) for path in paths.split(",")]
    seeds: dict[int, StoredEvaluation] = {}
    for run in side:
        if differ := differing_keys([flatten(one.result["config"]) for one in (first, run)], ("seed",)):
            raise InputError(
                f"runs of one side may differ in their seed only, but {first.name} and {run.name} differ in "
                f"{', '.join(differ[:5])}; compare them as A and B"
            )
        twin = seeds.setdefault(run.result["config"]["seed"], run)
        if twin is not run:
            raise InputError(f"{twin.name} and {run.name} have the same seed, and count as one run; name one of them")
    return side


def _read(path: Path, readout: str, boxes: str | None) -> StoredEvaluation:
    run_dir, evaluation = named_result(path)
    result = run_dir.result(evaluation)
    boxes = boxes or next(iter(result["metrics"]))
    if boxes not in result["metrics"]:
        raise InputError(f"{path} was not evaluated with --boxes {boxes}, only with {', '.join(result['metrics'])}")
    readouts = result["metrics"][boxes]
    readout = readout or next(iter(readouts))
    if readout not in readouts:
        raise InputError(f"{path} has no readout {readout!r}; it has {', '.join(readouts)}")
    if readout not in result["protocol"][boxes]:
        raise InputError(f"{path} does not record each readout's protocol; evaluate it with poserep evaluate first")
    return StoredEvaluation(run_dir, evaluation, result, boxes, readout)


def check_protocols(a: StoredEvaluation, b: StoredEvaluation) -> list[str]:
    """Return in what two protocols differ, as ``entry (A's, B's)``; other persons or metrics are an `InputError`.

    Of results of other programs, how predictions were made is not known; their boxes may be any.
    """
    one, two = a.protocol, b.protocol
    given = UNKNOWN in (a.boxes, b.boxes)
    records = [truth_and_metric(protocol.record()) for protocol in (one, two)]
    lines = {key: f"{key} ({getattr(one, key)}, {getattr(two, key)})" for key in one.differs(two)}
    if one.joints != two.joints or a.skeleton_entry != b.skeleton_entry:
        # The same joints with the same sigmas are alike, whatever else a network predicts.
        joints = [dict(sorted(zip(s.names, s.sigmas, strict=True))) for s in (evaluated_joints(a), evaluated_joints(b))]
        lines["joints"] = f"joints ({', '.join(sorted(dict(joints[0].items() ^ joints[1].items())))})"
        records[0]["joints"], records[1]["joints"] = joints
    if given:
        for record in records:
            record |= {"boxes": "", "instances": 0}
            record["hashes"] = {k: v for k, v in record["hashes"].items() if k not in ("detections", "results")}
            record["metric"] = {k: v for k, v in record["metric"].items() if k != "nms_threshold"}
    refused = [line for key, line in lines.items() if records[0].get(key) != records[1].get(key)]
    if refused:
        raise InputError(f"{a.name} and {b.name} were not evaluated on the same: they differ in {', '.join(refused)}")
    if given:
        return ["boxes, flip test, scores and input, which results of another program do not tell"]
    return [line for key, line in lines.items() if key != "joints"]


def rebuild(evaluation: StoredEvaluation, score_threshold: float | None = None) -> tuple[Scorer, Predictions]:
    """Return the scorer of a stored evaluation and its predictions, as when the run was evaluated.

    A ``score_threshold`` replaces the run's own; results of other programs have none. Files that have changed since are
    an `InputError`.
    """
    if evaluation.scored:
        if score_threshold is not None:
            raise InputError(f"{evaluation.name}: scores of results stand as they are, compare without score threshold")
        return evaluation.scored
    cfg = OmegaConf.create(evaluation.result["config"])
    assert isinstance(cfg, DictConfig)
    root = root_of(cfg)
    check_files(evaluation, cfg, root)
    boxes, readout, joints = (
        evaluation.boxes,
        evaluation.readout,
        common_joints(cfg, root, evaluated_joints(evaluation)),
    )
    persons = limited_to(cfg, joints.load(cfg, root, boxes))
    stored = evaluation.run_dir.predictions(evaluation.evaluation)
    if takes_scenes(cfg):
        # They were stored image by image.
        known = {person.id: person for person in persons}
        persons = [known[key] for key in stored[f"{boxes}/id"].tolist() if key in known]
    truth = truth_of(cfg, persons, joints.skeleton, root, joints.layout)
    for key in ("image_id", "id", "box"):
        if not np.array_equal(stored[f"{boxes}/{key}"], getattr(truth.instances, key)):
            raise InputError(
                f"{evaluation.run_dir.predictions_file(evaluation.evaluation)} holds predictions of other boxes than "
                f"{truth.annotations} now gives (their {key} differs); evaluate again with poserep evaluate"
            )
    threshold = evaluation.protocol.score_threshold if score_threshold is None else score_threshold
    return make(cfg.data.metric, truth), Predictions.load(stored, boxes, readout, threshold)


def evaluated_joints(evaluation: StoredEvaluation) -> Skeleton:
    """Return the joints that were evaluated."""
    skeleton = skeleton_of(OmegaConf.create(evaluation.result["config"]))
    return skeleton.only(evaluation.protocol.joints) if evaluation.protocol.joints else skeleton


def check_files(evaluation: StoredEvaluation, cfg: DictConfig, root: Path) -> None:
    """Raise an `InputError` if files that decide who is evaluated have changed since the evaluation."""
    files = split_files(cfg, root)
    for name, recorded in evaluation.protocol.hashes.items():
        found = file_hash(files[name]) if files[name].is_file() else "no file"
        if found != recorded:
            raise InputError(
                f"{evaluation.name} was evaluated on {files[name]} with SHA-256 {recorded}, but there is {found} now; "
                "bring back the file, or evaluate again with poserep evaluate"
            )
