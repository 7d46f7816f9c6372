"""COCO's average precision (AP) and recall, and the instance scores that rank predictions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from poserep.data.coco_categories import categories_of
from poserep.data.coco_file import CocoFile, read_coco
from poserep.errors import InputError, check_choice
from poserep.geometry import fit_aspect
from poserep.instances import Truth
from poserep.metrics.coco_matching import MEASURES, CocoMatch, CocoResults, Matcher, match
from poserep.metrics.coco_resampling import CocoResampler
from poserep.metrics.coco_truth import persons_of
from poserep.metrics.oks import oks_nms
from poserep.metrics.scorer import FinishedResults, Predictions, Resampler, Scorer, Scores

COCO_VALUES = tuple(MEASURES)
# Predictions of an image that count in COCO's evaluation of keypoints.
COCO_LIMIT = 20
PASSED_OVER = "with num_keypoints 0 though joints are labelled"
AreaSource = Literal["annotation", "box"]
RANGES = {"AP_M": "has an area between 32^2 and 96^2 px", "AP_L": "has an area above 96^2 px"}


class CocoAP(Scorer):
    """AP and AR over OKS thresholds .50:.05:.95, in percent.

    A person's score is the box's score times the mean score of its joints above the threshold, 0 if there are none (as
    in the papers' code). Poses whose OKS with a better pose of their image exceeds ``nms_threshold`` are dropped. The
    ground truth is every person and crowd of the annotation file; the diagnosis counts annotations that cannot be read.

    Args:
        truth: Size and padding give the area of the crop, by which poses are compared for suppression.
        nms_threshold: 0.9 in the papers; None keeps all.
        max_detections: Number of predictions of an image that count, the best ones; 20 in COCO's evaluation.
        area: Which area of a person scales OKS and makes it medium or large: that of the ``annotation``, as a rule the
            mask's, or 0.53 of the ``box``, which is CrowdPose's rule and serves sets without areas.
        matcher: The library that matches predictions with persons: ``hotcoco``, or ``pycocotools``, the reference,
            which has the same numbers to the last bit and takes many times as long.
    """

    columns: tuple[str, ...] = ("AP", "AP50", "AP75", "AR")
    # The ranges of areas to evaluate, by COCO's names.
    ranges: ClassVar[tuple[str, ...]] = ("all", "medium", "large")

    def __init__(
        self,
        truth: Truth,
        nms_threshold: float | None = 0.9,
        area: AreaSource = "annotation",
        max_detections: int = COCO_LIMIT,
        matcher: Matcher = "hotcoco",
    ) -> None:
        super().__init__(truth)
        check_choice("data.metric.area", area, get_args(AreaSource))
        check_choice("data.metric.matcher", matcher, get_args(Matcher))
        if nms_threshold is not None and not 0 < nms_threshold <= 1:
            raise InputError(f"data.metric.nms_threshold={nms_threshold} is not an OKS above 0 and at most 1, or null")
        if type(max_detections) is not int or max_detections < 1:
            raise InputError(f"data.metric.max_detections={max_detections} is not a whole number of at least 1")
        self.nms_threshold, self.area, self.max_detections = nms_threshold, area, max_detections
        self.matcher: Matcher = matcher
        self.crop_areas = (fit_aspect(truth.instances.box[:, 2:], truth.size) * truth.padding).prod(-1)

    @property
    def file(self) -> CocoFile:
        """The evaluated file; it is parsed again if another one has been since."""
        return read_coco(self.truth.files, self.truth.form)

    @property
    def categories(self) -> dict[int, str]:
        """The categories of the evaluated file whose annotations count, as one; predictions bear the first one's id."""
        return categories_of(self.file, self.truth.layout, self.truth.category)

    def persons(self) -> tuple[list[dict[str, Any]], list[Any]]:
        """See `persons_of`: the annotations to score, and the ids of those that cannot be read."""
        joints, columns, images = self.truth.layout.num_keypoints, tuple(self.truth.columns), self.truth.images
        persons, unusable = persons_of(self.file, tuple(self.categories), joints, self.area, columns)
        return [p for p in persons if p["image_id"] in images] if images is not None else persons, unusable

    def results(self, predictions: Predictions) -> list[dict[str, Any]]:
        """Return predictions in COCO's result format, rescored and without duplicates, as its server takes them.

        Finished results are returned as they stand.
        """
        columns, category = self._ranked(predictions), next(iter(self.categories))
        return [
            {"image_id": image, "category_id": category, "keypoints": keypoints, "score": score}
            for image, keypoints, score in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def _ranked(self, predictions: Predictions) -> CocoResults:
        xy = predictions.xy
        if isinstance(predictions, FinishedResults):
            score, image, keep = predictions.person_score, predictions.image_id, np.arange(len(xy))
        else:
            score, image, keep = self._rescored(predictions)
        keypoints = np.dstack([xy[keep], predictions.score[keep]]).astype(float).reshape(len(keep), 3 * xy.shape[1])
        return CocoResults(image[keep].astype(int), keypoints, score[keep].astype(float))

    def _rescored(self, predictions: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return scores and images of persons (N,), and the positions of those that are no duplicates."""
        index, xy, instances = predictions.index, predictions.xy, self.truth.instances
        counts = predictions.score > predictions.threshold
        mean = (predictions.score * counts).sum(1) / np.maximum(counts.sum(1), 1)
        score, image, area = instances.score[index] * mean, instances.image_id[index], self.crop_areas[index]
        keep = np.arange(len(index))
        if (limit := self.nms_threshold) is not None:
            keep = oks_nms(xy, score, area, image, self.truth.sigmas, limit)
        return score, image, keep

    def match(self, predictions: Predictions, ranges: Sequence[str] | None = None) -> CocoMatch:
        """Match predictions to persons image by image, in some ranges of areas (COCO's names) or all of this scorer's.

        Annotations that cannot be read are left out. Raises an `InputError` if the annotation file has no such
        category, or lacks areas or images.
        """
        file, results = self.file, self._ranked(predictions)
        absent = sorted({*results.image_id.tolist()} - file.images_by_id.keys())
        if absent:
            raise InputError(
                f"{self.truth.annotations} does not list the predicted images {absent[:3]}; is it the file that the "
                "instances were read from?"
            )
        images = [image for image in file.images_by_id if self.truth.images is None or image in self.truth.images]
        persons, sigmas = self.persons()[0], self.truth.sigmas
        return match(images, persons, results, sigmas, ranges or self.ranges, self.max_detections, self.matcher)

    def __call__(self, predictions: Predictions) -> Scores:
        """Return the values in percent, -1 where there is nothing to find; the diagnosis says why one is 0 or -1."""
        values = self.summary(self.match(predictions))
        if values["AP"] <= 0:
            reasons = [f"AP is {_called(values['AP'])}: {self._nothing(predictions)}"]
        else:
            reasons = [
                f"{name} is {_called(values[name])}: {why}" for name, why in self._parts(values) if values[name] <= 0
            ]
        if unusable := self.persons()[1]:
            reasons.append(
                f"{len(unusable)} annotations of {self.truth.annotations} cannot be read and are not scored, the first "
                f"has id {unusable[0]!r}"
            )
        return Scores(values, "; ".join(reasons))

    def uncounted(self) -> dict[str, int]:
        """See `Scorer.uncounted`: persons without area, passed over by ``num_keypoints``, or beyond the limit."""
        people = [p for p in self.persons()[0] if not p["iscrowd"] and (p["keypoints"][2::3] > 0).any()]
        counted = [p for p in people if p["num_keypoints"] > 0]
        images = Counter(person["image_id"] for person in counted)
        reasons = {
            "of area 0": sum(person["area"] == 0 for person in counted),
            PASSED_OVER: len(people) - len(counted),
            f"beyond the {self.max_detections} predictions of an image that count": sum(
                max(0, count - self.max_detections) for count in images.values()
            ),
        }
        return {reason: count for reason, count in reasons.items() if count}

    def summary(self, matched: CocoMatch) -> dict[str, float]:
        """Return the values of a match, in percent, -1 where there is nothing to find."""
        return matched.values()

    def resampler(self, predictions: Predictions, names: Sequence[str] | None = None) -> Resampler:
        """See `Scorer.resampler`; NaN stands for -1."""
        computed = [name for name in COCO_VALUES if names is None or name in names]
        ranges = list(dict.fromkeys(MEASURES[name].area for name in computed))
        return CocoResampler(self.match(predictions, ranges), computed)

    def _parts(self, values: Mapping[str, float]) -> list[tuple[str, str]]:
        """Return the names of the values that see some persons only, and why each is 0 or -1 if it is."""
        return [
            (name, f"no prediction finds a person who {where}" if values[name] == 0 else f"no annotated person {where}")
            for name, where in RANGES.items()
        ]

    def _nothing(self, predictions: Predictions) -> str:
        """Return why AP is 0 or -1."""
        path, persons, predicted = self.truth.annotations, self.persons()[0], self._ranked(predictions)
        labelled = [a for a in persons if a["num_keypoints"] > 0]
        if not persons:
            return f"{path} annotates nobody, as test sets do; their server scores results"
        if not labelled:
            return f"no annotation of {path} has num_keypoints > 0"
        if not len(predicted.score):
            return "nobody is found: no joint exceeds the parser's threshold; the network has hardly learnt anything"
        if not {*predicted.image_id.tolist()} & {a["image_id"] for a in labelled}:
            return "predictions and annotated persons share no image id"
        if not any(a["area"] > 0 for a in labelled):
            return "annotations have no area, by which OKS is scaled"
        if isinstance(predictions, FinishedResults):
            return (
                "nobody who was found comes within OKS 0.5 of a person; the network has hardly learnt anything, or "
                "another program's joints are not in the file's order"
            )
        if not predicted.score.any():
            return f"every person's score is 0; no joint's score exceeds {predictions.threshold:g}"
        return "no prediction comes within OKS 0.5 of a person; the network has hardly learnt anything"


class CocoSubmission(CocoAP):
    """Rescores and de-duplicates as `CocoAP` does, where only a server has the truth: `results` is what it takes."""

    columns = ()

    def __init__(self, truth: Truth, **options: Any) -> None:
        super().__init__(truth, **options)
        if truth.skeleton.num_keypoints < truth.layout.num_keypoints:
            raise InputError(
                f"the server takes results of all {truth.layout.num_keypoints} joints, and the run has "
                f"{truth.skeleton.num_keypoints} of them"
            )

    def __call__(self, predictions: Predictions) -> Scores:
        """Return no values."""
        return Scores({})


def _called(value: float) -> str:
    """Name a value that is 0, or -1 for want of anything to find, which tables show as a dash."""
    return "undefined" if value == -1 else f"{value:g}"
