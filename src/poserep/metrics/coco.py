"""COCO average precision and recall by pycocotools, and the instance scores that rank predictions."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO as CocoFile
from pycocotools.cocoeval import COCOeval

from poserep.data.instances import Instance
from poserep.errors import InputError
from poserep.geometry import Size, fit_aspect
from poserep.metrics.base import PoseMetric, Predictions
from poserep.metrics.oks import oks_nms
from poserep.skeleton import Skeleton

NAMES = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")


class CocoAP(PoseMetric):
    """AP and AR over OKS thresholds .50:.05:.95, in percent.

    A person's score is the box's score times the mean score of its joints above ``score_threshold``, 0 if there are
    none (as in the papers' code). Poses of one image that resemble a better one by OKS above ``nms_threshold`` are
    dropped.

    Args:
        instances: What predictions are made for.
        annotations: The annotation file, with every person and crowd of the evaluated images.
        skeleton: Its sigmas are used.
        size: Of the network's input; with ``padding`` it gives the crop's area, by which poses are compared.
        score_threshold: Belongs to the codec's score.
        padding: As for the crops.
        nms_threshold: 0.9 in the papers; None keeps all.
    """

    columns = ("AP", "AP50", "AP75", "AR")

    def __init__(
        self,
        instances: Sequence[Instance],
        annotations: str | Path,
        skeleton: Skeleton,
        size: Size,
        score_threshold: float = 0.0,
        padding: float = 1.25,
        nms_threshold: float | None = 0.9,
    ) -> None:
        super().__init__(instances, annotations, skeleton, size, score_threshold, padding)
        self.sigmas = np.array(skeleton.sigmas)
        self.nms_threshold = nms_threshold
        # Of the crop, by which poses are compared.
        self.areas = (fit_aspect(self.instances.box[:, 2:], size) * padding).prod(-1)

    def detections(self, predictions: Predictions) -> list[dict[str, Any]]:
        """Predictions in COCO's result format, rescored and without duplicates."""
        index, xy, score = predictions
        counts = score > self.score_threshold
        mean = (score * counts).sum(1) / np.maximum(counts.sum(1), 1)
        person, image = self.instances.score[index] * mean, self.instances.image_id[index]
        area = self.areas[index]
        keep = np.arange(len(index))
        if self.nms_threshold is not None:
            groups = [np.flatnonzero(image == i) for i in dict.fromkeys(image)]
            keep = np.concatenate(
                [g[oks_nms(xy[g], person[g], area[g], self.sigmas, self.nms_threshold)] for g in groups]
            )
        keypoints = np.concatenate([xy, score[..., None]], -1).astype(float).reshape(len(index), -1)
        return [
            {
                "image_id": int(image[i]),
                "category_id": 1,
                "keypoints": keypoints[i].tolist(),
                "score": float(person[i]),
            }
            for i in keep
        ]

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """The ten COCO numbers, in percent; -1 where there is nothing to find. See ``diagnosis`` if AP is 0 or -1."""
        detections = self.detections(predictions)
        # pycocotools talks to the terminal.
        with contextlib.redirect_stdout(io.StringIO()):
            truth = CocoFile(str(self.annotations))
            self._complete(truth.dataset["annotations"])
            category = self._category(truth)
            for detection in detections:
                detection["category_id"] = category
            absent = sorted({d["image_id"] for d in detections} - set(truth.getImgIds()))
            if absent:
                raise InputError(
                    f"{self.annotations} does not list the predicted images {absent[:3]}; is it the file that the "
                    "instances were read from?"
                )
            evaluation = COCOeval(truth, truth.loadRes(detections), "keypoints")
            evaluation.params.kpt_oks_sigmas = self.sigmas
            # Else other categories with keypoints would be averaged in.
            evaluation.params.catIds = [category]
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        values = {
            name: float(value) * 100 if value >= 0 else -1.0
            for name, value in zip(NAMES, evaluation.stats, strict=True)
        }
        self.diagnosis = self._diagnose(values["AP"], detections, truth) if values["AP"] <= 0 else ""
        return values

    def _category(self, truth: Any) -> int:
        for category in truth.dataset["categories"]:
            if tuple(category.get("keypoints", ())) == self.skeleton.names:
                return category["id"]
        raise InputError(f"{self.annotations}: no category has the keypoints of skeleton {self.skeleton.name!r}")

    def _complete(self, annotations: list[dict[str, Any]]) -> None:
        # pycocotools takes these fields for granted; custom files often lack them.
        for annotation in annotations:
            annotation.setdefault("iscrowd", 0)
            annotation.setdefault("num_keypoints", sum(v > 0 for v in annotation.get("keypoints", ())[2::3]))
            if "area" not in annotation:
                raise InputError(
                    f"{self.annotations}: annotation {annotation['id']} has no area, by which OKS is scaled; add the "
                    "mask's area, or 0.53 x box width x height as CrowdPose does"
                )

    def _diagnose(self, ap: float, detections: list[dict[str, Any]], truth: Any) -> str:
        labelled = [a for a in truth.dataset["annotations"] if a.get("num_keypoints", 0) > 0]
        if not labelled:
            return f"AP is {ap:g}: no annotation of {self.annotations} has num_keypoints > 0"
        if not {d["image_id"] for d in detections} & {a["image_id"] for a in labelled}:
            return f"AP is {ap:g}: predictions and annotated persons share no image id"
        if not any(a.get("area", 0) > 0 for a in labelled):
            return f"AP is {ap:g}: annotations have no area, by which OKS is scaled"
        if all(d["score"] == 0 for d in detections):
            return f"AP is {ap:g}: every person's score is 0; no joint's score exceeds {self.score_threshold:g}"
        return f"AP is {ap:g}: no prediction comes within OKS 0.5 of a person; the network has hardly learnt anything"
