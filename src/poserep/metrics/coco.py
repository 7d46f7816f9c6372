"""COCO average precision and recall by pycocotools, and the instance scores that rank predictions."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pycocotools.cocoeval import COCOeval

from poserep.errors import InputError
from poserep.geometry import Size, fit_aspect
from poserep.instances import Instance
from poserep.metrics.base import PoseMetric, Predictions, Resampler
from poserep.metrics.bootstrap import MEASURES, CocoResampler
from poserep.metrics.oks import oks_nms
from poserep.metrics.truth import category_of, read_truth, truth_of
from poserep.skeleton import Skeleton

NAMES = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
RANGES = {"AP_M": "has an area between 32^2 and 96^2 px", "AP_L": "has an area above 96^2 px"}


class CocoAP(PoseMetric):
    """AP and AR over OKS thresholds .50:.05:.95, in percent.

    A person's score is the box's score times the mean score of its joints above ``score_threshold``, 0 if there are
    none (as in the papers' code). Poses of one image that resemble a better one by OKS above ``nms_threshold`` are
    dropped. The truth is the annotation file, every person and crowd of it; annotations that cannot be read are left
    out, which `diagnosis` says.

    Args:
        instances: What predictions are made for.
        annotations: The annotation file, with every person and crowd of the evaluated images.
        skeleton: Its sigmas are used.
        size: Of the network's input; with ``padding`` it gives the crop's area, by which poses are compared.
        score_threshold: Belongs to the codec's score.
        padding: As for the crops.
        nms_threshold: 0.9 in the papers; None keeps all.
        area: Of persons, which scales OKS and sorts them into medium and large: that of the ``annotation``, the mask's
            as a rule, or 0.53 of the ``box``, CrowdPose's rule, also for sets that have none.

    Raises:
        InputError: If ``area`` is neither.
    """

    columns: ClassVar[tuple[str, ...]] = ("AP", "AP50", "AP75", "AR")
    # Other names of keypoints that the data set's files have, to the skeleton's.
    aliases: ClassVar[Mapping[str, str]] = {}
    # COCO's ranges to evaluate.
    ranges: ClassVar[tuple[str, ...]] = ("all", "medium", "large")

    def __init__(
        self,
        instances: Sequence[Instance],
        annotations: str | Path,
        skeleton: Skeleton,
        size: Size,
        score_threshold: float = 0.0,
        padding: float = 1.25,
        nms_threshold: float | None = 0.9,
        area: Literal["annotation", "box"] = "annotation",
    ) -> None:
        super().__init__(instances, annotations, skeleton, size, score_threshold, padding)
        if area not in ("annotation", "box"):
            raise InputError(f"area={area!r} is neither 'annotation' nor 'box'; set data.metric.area")
        self.sigmas = np.array(skeleton.sigmas)
        self.nms_threshold, self.area = nms_threshold, area
        # Ids of annotations, of the last match.
        self.unusable: list[Any] = []
        # Of the crop, by which poses are compared.
        self.areas = (fit_aspect(self.instances.box[:, 2:], size) * padding).prod(-1)

    def results(self, predictions: Predictions) -> list[dict[str, Any]]:
        """Predictions in COCO's result format, rescored and without duplicates, as evaluation servers take them.

        Raises:
            InputError: If the annotation file has no category for them.
        """
        category = category_of(read_truth(self.annotations), self.skeleton.names, self.aliases)
        keep, keypoints, score, image = self._kept(predictions)
        return [
            {
                "image_id": int(image[i]),
                "category_id": category,
                "keypoints": keypoints[i].tolist(),
                "score": float(score[i]),
            }
            for i in keep
        ]

    def match(self, predictions: Predictions, ranges: Sequence[str] | None = None) -> COCOeval:
        """Predictions matched to persons image by image, before anything is accumulated.

        Args:
            predictions: To match.
            ranges: COCO's names of the ranges of areas to match in, each of which takes its time; None for all.

        Raises:
            InputError: If the annotation file has no such category, lacks areas or images, or there are no predictions.
        """
        parsed = read_truth(self.annotations)
        category = category_of(parsed, self.skeleton.names, self.aliases)
        keep, keypoints, score, image = self._kept(predictions)
        absent = sorted(set(image.tolist()) - parsed.images.keys())
        if absent:
            raise InputError(
                f"{self.annotations} does not list the predicted images {absent[:3]}; is it the file that the "
                "instances were read from?"
            )
        found = [
            {"image_id": int(image[i]), "category_id": category, "keypoints": keypoints[i], "score": float(score[i])}
            for i in keep
        ]
        with _silence():
            truth = truth_of(parsed, category, self.skeleton.num_keypoints, self.area == "box")
            evaluation = COCOeval(truth.file, truth.file.loadRes(found), "keypoints")
            params = evaluation.params
            params.kpt_oks_sigmas = self.sigmas
            wanted = [params.areaRngLbl.index(label) for label in ranges or self.ranges]
            params.areaRng, params.areaRngLbl = [params.areaRng[i] for i in wanted], list(ranges or self.ranges)
            evaluation.evaluate()
        self.unusable = truth.unusable
        return evaluation

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """The ten COCO numbers, in percent; -1 where there is nothing to find. `diagnosis` says why any is 0 or -1."""
        evaluation = self.match(predictions)
        values = self.summary(evaluation)
        self.diagnosis = "; ".join(self._reasons(values, evaluation))
        return values

    def summary(self, evaluation: COCOeval) -> dict[str, float]:
        """Named values of what has been matched, in percent, -1 where there is nothing to find."""
        return summarise(evaluation)

    def resampler(self, predictions: Predictions, names: Sequence[str] | None = None) -> Resampler:
        """See `PoseMetric.resampler`; NaN stands for -1."""
        wanted = [name for name in NAMES if names is None or name in names]
        ranges = list(dict.fromkeys(MEASURES[name].area for name in wanted))
        return CocoResampler(self.match(predictions, ranges), wanted)

    def _kept(self, predictions: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Which predictions are no duplicates, image by image; of all: keypoints (N, 3K), score (N,), image id (N,)."""
        index, xy, joint_score = predictions
        counts = joint_score > self.score_threshold
        mean = (joint_score * counts).sum(1) / np.maximum(counts.sum(1), 1)
        score, image, area = self.instances.score[index] * mean, self.instances.image_id[index], self.areas[index]
        keep = np.arange(len(index))
        if self.nms_threshold is not None:
            keep = np.concatenate(
                [g[oks_nms(xy[g], score[g], area[g], self.sigmas, self.nms_threshold)] for g in groups(image)]
            )
        keypoints = np.concatenate([xy, joint_score[..., None]], -1).astype(float).reshape(len(index), -1)
        return keep, keypoints, score, image

    def _reasons(self, values: Mapping[str, float], evaluation: COCOeval) -> list[str]:
        """Why values are what nobody would expect."""
        reasons = []
        if values["AP"] <= 0:
            reasons.append(self._nothing(values["AP"], evaluation))
        else:
            reasons += [f"{name} is {values[name]:g}: {why}" for name, why in self._parts(values) if values[name] <= 0]
        if self.unusable:
            reasons.append(
                f"{len(self.unusable)} annotations of {self.annotations} cannot be read and are not scored, the first "
                f"has id {self.unusable[0]!r}"
            )
        return reasons

    def _parts(self, values: Mapping[str, float]) -> list[tuple[str, str]]:
        """Names of the values that see some persons only, and why each is 0 or -1 if it is."""
        return [
            (name, f"no prediction finds a person who {where}" if values[name] == 0 else f"no annotated person {where}")
            for name, where in RANGES.items()
        ]

    def _nothing(self, ap: float, evaluation: COCOeval) -> str:
        persons, found = (data.dataset["annotations"] for data in (evaluation.cocoGt, evaluation.cocoDt))
        labelled = [a for a in persons if a["num_keypoints"] > 0]
        if not persons:
            return f"AP is {ap:g}: {self.annotations} annotates nobody, as test sets do; their server scores results"
        if not labelled:
            return f"AP is {ap:g}: no annotation of {self.annotations} has num_keypoints > 0"
        if not {d["image_id"] for d in found} & {a["image_id"] for a in labelled}:
            return f"AP is {ap:g}: predictions and annotated persons share no image id"
        if not any(a["area"] > 0 for a in labelled):
            return f"AP is {ap:g}: annotations have no area, by which OKS is scaled"
        if all(d["score"] == 0 for d in found):
            return f"AP is {ap:g}: every person's score is 0; no joint's score exceeds {self.score_threshold:g}"
        return f"AP is {ap:g}: no prediction comes within OKS 0.5 of a person; the network has hardly learnt anything"


def summarise(evaluation: COCOeval) -> dict[str, float]:
    """COCO's numbers, in percent, -1 where there is nothing to find, of an evaluation that has been matched."""
    with _silence():
        evaluation.accumulate()
        evaluation.summarize()
    values = zip(NAMES, evaluation.stats, strict=True)
    return {name: float(value) * 100 if value >= 0 else -1.0 for name, value in values}


def groups(image: np.ndarray) -> list[np.ndarray]:
    """Positions of each image's predictions, images in the order in which they are first seen."""
    _, first, which = np.unique(image, return_index=True, return_inverse=True)
    order = np.argsort(which, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(which))[:-1])
    return [parts[i] for i in np.argsort(first)]


def _silence() -> contextlib.AbstractContextManager[Any]:
    # pycocotools talks to the terminal.
    return contextlib.redirect_stdout(io.StringIO())
