"""Stored evaluations: what result file and predictions of a run hold, and the metric that scored them; no network."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from poserep.config import make
from poserep.data.build import files_of, instances_of, root_of, skeleton_of, truth_of
from poserep.errors import InputError
from poserep.files import file_hash
from poserep.metrics.protocol import Protocol, truth_and_metric
from poserep.metrics.scorer import Predictions, Scorer
from poserep.runs.identity import ELSEWHERE, beneath, flatten


@dataclass(frozen=True)
class Evaluation:
    """The stored evaluation of one readout of one run.

    Attributes:
        path: Of the result file; the predictions lie beside it.
        result: What it holds.
        boxes: Kind of boxes.
        readout: Name of the readout.
    """

    path: Path
    result: dict[str, Any]
    boxes: str
    readout: str

    @property
    def name(self) -> str:
        """Of the run, and of the evaluation if it is not the run's own."""
        own = self.path.name == "result.json"
        return self.path.parent.name if own else f"{self.path.parent.name}/{self.path.stem}"

    @property
    def npz(self) -> Path:
        """The file with the predictions."""
        return (
            self.path.with_name("predictions.npz") if self.path.name == "result.json" else self.path.with_suffix(".npz")
        )

    @property
    def protocol(self) -> Protocol:
        """How predictions were made and scored."""
        return Protocol.load(self.result["protocol"][self.boxes][self.readout])

    @property
    def values(self) -> dict[str, float]:
        """The metric's, as recorded."""
        return self.result["metrics"][self.boxes][self.readout]

    def settings(self) -> dict[str, Any]:
        """The configuration by dotted keys, without the seed and what changes nothing."""
        flat = flatten(self.result["config"])
        kept = (k for k in flat if not beneath(k, (*ELSEWHERE, "seed")))
        return {key: flat[key] for key in kept}


def read_side(argument: str, boxes: str | None) -> list[Evaluation]:
    """The runs of one side, as the command line names them.

    Raises:
        InputError: If one has not been evaluated so, or they differ in more than the seed.
    """
    paths, _, readout = argument.rpartition(":")
    if not paths or "/" in readout:
        paths, readout = argument, ""
    side = [_read(Path(path), readout, boxes) for path in paths.split(",")]
    first = side[0]
    seeds: dict[int, Evaluation] = {}
    for run in side:
        mine, others = first.settings(), run.settings()
        differ = [key for key in sorted({*mine, *others}) if mine.get(key) != others.get(key)]
        if differ:
            raise InputError(
                f"runs of one side may differ in their seed only, but {first.name} and {run.name} differ in "
                f"{', '.join(differ[:5])}; compare them as A and B"
            )
        twin = seeds.setdefault(run.result["config"]["seed"], run)
        if twin is not run:
            raise InputError(f"{twin.name} and {run.name} have the same seed, and count as one run; name one of them")
    return side


def _read(path: Path, readout: str, boxes: str | None) -> Evaluation:
    file = path if path.suffix == ".json" else path / "result.json"
    if not file.is_file():
        raise InputError(f"{path} has no result: {file} does not exist; has the run finished?")
    result = json.loads(file.read_text())
    boxes = boxes or next(iter(result["metrics"]))
    if boxes not in result["metrics"]:
        raise InputError(f"{path} was not evaluated with --boxes {boxes}, only with {', '.join(result['metrics'])}")
    readouts = result["metrics"][boxes]
    readout = readout or next(iter(readouts))
    if readout not in readouts:
        raise InputError(f"{path} has no readout {readout!r}; it has {', '.join(readouts)}")
    if readout not in result["protocol"][boxes]:
        raise InputError(f"{path} does not record each readout's protocol; evaluate it with poserep evaluate first")
    return Evaluation(file, result, boxes, readout)


def check_protocols(a: Evaluation, b: Evaluation) -> list[str]:
    """See that two evaluations are about the same; what else is not the same protocol, as ``entry (A's, B's)``.

    Raises:
        InputError: If they evaluate other persons or measure something else.
    """
    differ = {key: (getattr(a.protocol, key), getattr(b.protocol, key)) for key in a.protocol.differs(b.protocol)}
    lines = {key: f"{key} ({mine}, {others})" for key, (mine, others) in differ.items()}
    mine, others = truth_and_metric(a.protocol.record()), truth_and_metric(b.protocol.record())
    refused = [line for key, line in lines.items() if mine.get(key) != others.get(key)]
    if refused:
        raise InputError(f"{a.name} and {b.name} were not evaluated on the same: they differ in {', '.join(refused)}")
    return list(lines.values())


def rebuild(evaluation: Evaluation, score_threshold: float | None = None) -> tuple[Scorer, Predictions]:
    """Rebuild the scorer and the predictions as they were when the run was evaluated.

    Args:
        evaluation: Of a run.
        score_threshold: In place of the one that it was evaluated with.

    Raises:
        InputError: If files have changed since then, or the predictions are those of other boxes.
    """
    cfg = OmegaConf.create(evaluation.result["config"])
    assert isinstance(cfg, DictConfig)
    root = root_of(cfg)
    files = files_of(cfg, root)
    for name, recorded in evaluation.protocol.hashes.items():
        found = file_hash(files[name]) if files[name].is_file() else "no file"
        if found != recorded:
            raise InputError(
                f"{evaluation.name} was evaluated on {files[name]} with SHA-256 {recorded}, but there is {found} now; "
                "bring back the file, or evaluate again with poserep evaluate"
            )
    skeleton = skeleton_of(cfg)
    persons = instances_of(cfg, "val", skeleton, root, evaluation.boxes)[: cfg.trainer.get("limit")]
    truth = truth_of(cfg, persons, skeleton, root)
    if not evaluation.npz.is_file():
        raise InputError(f"{evaluation.npz} does not exist; predictions are read from there")
    with np.load(evaluation.npz) as stored:
        for key in ("image_id", "id", "box"):
            if not np.array_equal(stored[f"{evaluation.boxes}/{key}"], getattr(truth.instances, key)):
                raise InputError(
                    f"{evaluation.npz} holds predictions of other boxes than {files['annotations']} now gives (their "
                    f"{key} differs); evaluate again with poserep evaluate"
                )
        keys = ("index", f"{evaluation.readout}/xy", f"{evaluation.readout}/score")
        index, xy, score = (stored[f"{evaluation.boxes}/{key}"] for key in keys)
    threshold = evaluation.protocol.score_threshold if score_threshold is None else score_threshold
    return make(cfg.data.metric, truth), Predictions(index, xy, score, threshold)
