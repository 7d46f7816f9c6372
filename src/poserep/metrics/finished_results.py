"""Results of other programs in COCO's format: read, scored as they stand, and matched with the annotated persons."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from poserep.config import DictConfig, make
from poserep.data.coco_file import read_coco
from poserep.data.common_joints import common_joints
from poserep.data.from_config import is_labelled, limited_to, root_of, skeleton_of, split_files, truth_of
from poserep.data.listed_images import ListedImages
from poserep.errors import InputError
from poserep.files import file_hash
from poserep.instances import Tally, Truth
from poserep.metrics.coco import CocoAP, CocoSubmission
from poserep.metrics.evaluated_data import data_entries
from poserep.metrics.oks import joint_oks
from poserep.metrics.protocol import FINISHED, UNKNOWN, Protocol
from poserep.metrics.result_file import read_results
from poserep.metrics.scorer import FinishedResults, Predictions
from poserep.metrics.taxonomy import areas
from poserep.skeleton import Skeleton

# Least OKS of a result with the person that it is matched with, as in Ronchi and Perona's analysis.
LEAST_OKS = 0.1


class ScoredResults(NamedTuple):
    """Results of another program with the scorer of a configuration, and what came of each record of the file."""

    scorer: CocoAP
    results: FinishedResults
    protocol: Protocol
    tally: Tally


def results_of(cfg: DictConfig, file: Path, predicted: Skeleton | None = None) -> ScoredResults:
    """Read a result file for the data and the metric of a configuration.

    ``predicted`` are the joints to score if not all of ``data.skeleton``. A file that cannot be read as results, and a
    metric that needs more than these, are an `InputError`.
    """
    root, target = root_of(cfg), str(cfg.data.metric._target_).split(".")[-1]
    if not is_labelled(cfg):
        raise InputError(f"data={cfg.data.name} has no annotations to score {file} against; its server scores results")
    joints, persons = common_joints(cfg, root, predicted), Tally()
    instances = limited_to(cfg, joints.load(cfg, root, "gt", persons))
    scorer = make(cfg.data.metric, truth_of(cfg, instances, joints.skeleton, root, joints.layout))
    if not isinstance(scorer, CocoAP) or isinstance(scorer, CocoSubmission):
        raise InputError(
            f"{file}: results do not say which annotated person they are of, as data.metric {target} needs to know; "
            "CocoAP and CrowdPoseAP score them"
        )
    tally = Tally()
    if scorer.truth.files[1:]:
        _refuse_renumbered(file, scorer)
    images = ListedImages(scorer.file, root / cfg.data.val.images, Tally())
    # Results name no joints: they have those of the annotation file, else those of the configuration.
    orders = {own.num_keypoints: own.positions(joints.skeleton.names) for own in (skeleton_of(cfg), joints.layout)}
    lenient = bool(cfg.data.get("skip_invalid"))
    results = read_results(file, images, scorer.categories, orders, lenient, tally)
    _, counts = np.unique(results.image_id, return_counts=True)
    if beyond := int(np.maximum(counts - scorer.max_detections, 0).sum()):
        tally.taken -= beyond
        tally.left_out[f"beyond the {scorer.max_detections} best of their image (data.metric.max_detections)"] += beyond
    files = {name: path for name, path in split_files(cfg, root).items() if name != "detections"}
    entries = data_entries(cfg, scorer, joints, persons)
    entries["metric"] = {key: value for key, value in entries["metric"].items() if key != "nms_threshold"}
    protocol = Protocol(
        **entries,
        boxes=UNKNOWN,
        hashes={name: file_hash(path) for name, path in {**files, "results": file}.items()},
        instances=len(results.index),
        flip_test=None,
        readout=FINISHED,
        score="given",
        temperature=1.0,
        score_threshold=0.0,
        size="",
        align="",
    )
    return ScoredResults(scorer, results, protocol, tally)


def _refuse_renumbered(file: Path, scorer: CocoAP) -> None:
    """Raise an `InputError` if results cannot name images by id, as several annotation files use ids twice."""
    merged = {key: record.get("file_name") for key, record in scorer.file.images_by_id.items()}
    for path in scorer.truth.files:
        own = read_coco(path, scorer.truth.form).images_by_id
        if twice := [key for key, record in own.items() if merged.get(key) != record.get("file_name")]:
            raise InputError(
                f"{file}: image ids such as {twice[0]} do not tell an image, as {path} gives them to others "
                "than another file of data.val.annotations does; score the results of each file alone"
            )


def matched_with_persons(results: FinishedResults, truth: Truth, most: int) -> Predictions:
    """Match results with the annotated persons of their image, and return them as predictions of these persons.

    As in COCO's evaluation the ``most`` best results of an image choose, the best score first, and each takes the
    person with whom its OKS is highest of those not taken, here if it is at least `LEAST_OKS`. A person without area
    has that of `areas`.
    """
    table, labelled = truth.instances, truth.labelled
    area, _ = areas(table)
    person_of: dict[int, int] = {}
    by_score = np.argsort(-results.person_score, kind="stable")
    for image in np.unique(results.image_id):
        here = np.flatnonzero((table.image_id == image) & labelled.any(1))
        rows = by_score[results.image_id[by_score] == image][:most]
        if not len(here):
            continue
        free = np.ones(len(here), bool)
        for row in rows:
            xy = np.broadcast_to(results.xy[row], (len(here), *results.xy.shape[1:]))
            similar = joint_oks(xy, table.keypoints[here], area[here], truth.sigmas)
            oks = np.where(free, (similar * labelled[here]).sum(1) / labelled[here].sum(1), -1.0)
            if oks.max() >= LEAST_OKS:
                person_of[int(here[oks.argmax()])] = int(row)
                free[oks.argmax()] = False
    index = np.array(sorted(person_of), np.int64)
    of = np.array([person_of[i] for i in index.tolist()], int)
    return Predictions(index, results.xy[of], results.score[of])


def count_matched(matched: Predictions, results: FinishedResults, truth: Truth) -> dict[str, int]:
    """Return how many persons have a result, how many have none, and how many results have no person."""
    pairs, persons = len(matched.index), int(truth.labelled.any(1).sum())
    return {
        "persons with a result": pairs,
        "persons without a result": persons - pairs,
        "results without a person": len(results.index) - pairs,
    }
