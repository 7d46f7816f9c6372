"""COCO average precision (AP) and recall by pycocotools, and the instance scores that rank predictions."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from poserep.data.coco_categories import categories_of
from poserep.data.coco_file import CocoFile, read_coco
from poserep.errors import InputError, check_choice
from poserep.geometry import fit_aspect
from poserep.instances import Truth
from poserep.metrics.coco_resampling import MEASURES, CocoResampler
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
    ) -> None:
        super().__init__(truth)
        check_choice("data.metric.area", area, get_args(AreaSource))
        if nms_threshold is not None and not 0 < nms_threshold <= 1:
            raise InputError(f"data.metric.nms_threshold={nms_threshold} is not an OKS above 0 and at most 1, or null")
        if type(max_detections) is not int or max_detections < 1:
            raise InputError(f"data.metric.max_detections={max_detections} is not a whole number of at least 1")
        self.nms_threshold, self.area, self.max_detections = nms_threshold, area, max_detections
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
        joints, columns = self.truth.layout.num_keypoints, tuple(self.truth.columns)
        return persons_of(self.file, tuple(self.categories), joints, self.area, columns)

    def results(self, predictions: Predictions) -> list[dict[str, Any]]:
        """Return predictions in COCO's result format, rescored and without duplicates, as its server takes them.

        Finished results are returned as they stand.
        """
        xy, category = predictions.xy, next(iter(self.categories))
        if isinstance(predictions, FinishedResults):
            score, image, keep = predictions.person_score, predictions.image_id, np.arange(len(xy))
        else:
            score, image, keep = self._rescored(predictions)
        keypoints = np.dstack([xy, predictions.score]).astype(float).reshape(len(xy), 3 * xy.shape[1]).tolist()
        return [
            {"image_id": int(image[i]), "category_id": category, "keypoints": keypoints[i], "score": float(score[i])}
            for i in keep
        ]

    def _rescored(self, predictions: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return scores and images of persons (N,), and the positions of those that are no duplicates."""
        index, xy, instances = predictions.index, predictions.xy, self.truth.instances
        counts = predictions.score > predictions.threshold
        mean = (predictions.score * counts).sum(1) / np.maximum(counts.sum(1), 1)
        score, image, area = instances.score[index] * mean, instances.image_id[index], self.crop_areas[index]
        keep = np.arange(len(index))
        if (limit := self.nms_threshold) is not None:
            by_image = defaultdict[int, list[int]](list)
            for i, key in enumerate(image.tolist()):
                by_image[key].append(i)
            groups = map(np.array, by_image.values())
            keep = np.concatenate([g[oks_nms(xy[g], score[g], area[g], self.truth.sigmas, limit)] for g in groups])
        return score, image, keep

    def match(self, predictions: Predictions, ranges: Sequence[str] | None = None) -> COCOeval:
        """Match predictions to persons image by image, in some ranges of areas (COCO's names) or all of this scorer's.

        Returns a COCOeval after ``evaluate()``, without the annotations that cannot be read. Raises an `InputError` if
        the annotation file has no such category, or lacks areas or images.
        """
        path = self.truth.annotations
        file = self.file
        rows = self.results(predictions)
        absent = sorted({row["image_id"] for row in rows} - file.images_by_id.keys())
        if absent:
            raise InputError(
                f"{path} does not list the predicted images {absent[:3]}; is it the file that the instances were read "
                "from?"
            )
        with redirect_stdout(StringIO()):  # pycocotools prints
            truth = COCO()
            truth.dataset = {
                "images": [{"id": key} for key in file.images_by_id],
                # Copies, as COCOeval writes into them.
                "annotations": [dict(person) for person in self.persons()[0]],
                "categories": [{"id": next(iter(self.categories)), "name": "person"}],
            }
            truth.createIndex()
            # It cannot load an empty list.
            found = truth.loadRes(rows) if rows else COCO()
            found.dataset = found.dataset or {**truth.dataset, "annotations": []}
            found.createIndex()
            evaluation = COCOeval(truth, found, "keypoints")
            params = evaluation.params
            params.kpt_oks_sigmas = self.truth.sigmas
            labels = list(ranges or self.ranges)
            params.areaRng = [params.areaRng[params.areaRngLbl.index(label)] for label in labels]
            params.areaRngLbl, params.maxDets = labels, [self.max_detections]
            evaluation.evaluate()
        return evaluation

    def __call__(self, predictions: Predictions) -> Scores:
        """Return the values in percent, -1 where there is nothing to find; the diagnosis says why one is 0 or -1."""
        evaluation = self.match(predictions)
        values = self.summary(evaluation)
        if values["AP"] <= 0:
            reasons = [f"AP is {values['AP']:g}: {self._nothing(evaluation, predictions)}"]
        else:
            reasons = [f"{name} is {values[name]:g}: {why}" for name, why in self._parts(values) if values[name] <= 0]
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

    def summary(self, evaluation: COCOeval) -> dict[str, float]:
        """Return COCO's ten values of a match, in percent, -1 where there is nothing to find."""
        with redirect_stdout(StringIO()):
            evaluation.accumulate()
            # It sums up the values of this limit alone, and there is but one.
            evaluation.params.maxDets = [COCO_LIMIT]
            evaluation.summarize()
            evaluation.params.maxDets = [self.max_detections]
        values = zip(COCO_VALUES, evaluation.stats, strict=True)
        return {name: float(value) * 100 if value >= 0 else -1.0 for name, value in values}

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

    def _nothing(self, evaluation: COCOeval, predictions: Predictions) -> str:
        """Return why AP is 0 or -1."""
        path = self.truth.annotations
        persons, predicted = (data.dataset["annotations"] for data in (evaluation.cocoGt, evaluation.cocoDt))
        labelled = [a for a in persons if a["num_keypoints"] > 0]
        if not persons:
            return f"{path} annotates nobody, as test sets do; their server scores results"
        if not labelled:
            return f"no annotation of {path} has num_keypoints > 0"
        if not predicted:
            return "nobody is found: no joint exceeds the parser's threshold; the network has hardly learnt anything"
        if not {d["image_id"] for d in predicted} & {a["image_id"] for a in labelled}:
            return "predictions and annotated persons share no image id"
        if not any(a["area"] > 0 for a in labelled):
            return "annotations have no area, by which OKS is scaled"
        if isinstance(predictions, FinishedResults):
            return "no result comes within OKS 0.5 of a person; are joints of another program in the file's order?"
        if all(d["score"] == 0 for d in predicted):
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
