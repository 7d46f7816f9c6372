"""COCO average precision (AP) and recall by pycocotools, and the instance scores that rank predictions."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from functools import lru_cache
from io import StringIO
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from poserep.data.coco_file import CocoFile, read_coco
from poserep.data.json_fields import FURTHEST, as_box, as_integer, as_numbers
from poserep.errors import InputError, check_choice
from poserep.geometry import fit_aspect
from poserep.instances import BOX_COVER, Truth
from poserep.metrics.coco_resampling import MEASURES, CocoResampler
from poserep.metrics.oks import oks_nms
from poserep.metrics.scorer import Predictions, Resampler, Scorer, Scores

COCO_VALUES = tuple(MEASURES)
AreaSource = Literal["annotation", "box"]
RANGES = {"AP_M": "has an area between 32^2 and 96^2 px", "AP_L": "has an area above 96^2 px"}


class Match(NamedTuple):
    """Predictions matched to persons: a COCOeval after ``evaluate()``, and the ids of annotations left out."""

    evaluation: COCOeval
    unusable: list[Any]


class CocoAP(Scorer):
    """AP and AR over OKS thresholds .50:.05:.95, in percent.

    A person's score is the box's score times the mean score of its joints above the threshold, 0 if there are none (as
    in the papers' code). Poses whose OKS with a better pose of their image exceeds ``nms_threshold`` are dropped. The
    ground truth is every person and crowd of the annotation file; the diagnosis counts annotations that cannot be read.

    Args:
        truth: Size and padding give the area of the crop, by which poses are compared for suppression.
        nms_threshold: 0.9 in the papers; None keeps all.
        area: Which area of a person scales OKS and makes it medium or large: that of the ``annotation``, as a rule the
            mask's, or 0.53 of the ``box``, which is CrowdPose's rule and serves sets without areas.
    """

    columns: tuple[str, ...] = ("AP", "AP50", "AP75", "AR")
    # The ranges of areas to evaluate, by COCO's names.
    ranges: ClassVar[tuple[str, ...]] = ("all", "medium", "large")

    def __init__(self, truth: Truth, nms_threshold: float | None = 0.9, area: AreaSource = "annotation") -> None:
        super().__init__(truth)
        check_choice("data.metric.area", area, get_args(AreaSource))
        self.nms_threshold, self.area = nms_threshold, area
        self.crop_areas = (fit_aspect(truth.instances.box[:, 2:], truth.size) * truth.padding).prod(-1)

    @property
    def categories(self) -> dict[int, str]:
        """The categories of the evaluated file whose annotations count, as one; predictions bear the first one's id."""
        return read_coco(self.truth.annotations).categories_of(self.truth.skeleton, self.truth.category)

    def results(self, predictions: Predictions) -> list[dict[str, Any]]:
        """Return predictions in COCO's result format, rescored and without duplicates, as its server takes them."""
        index, xy, instances = predictions.index, predictions.xy, self.truth.instances
        category = next(iter(self.categories))
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
        keypoints = np.dstack([xy, predictions.score]).astype(float).reshape(len(index), -1).tolist()
        return [
            {"image_id": int(image[i]), "category_id": category, "keypoints": keypoints[i], "score": float(score[i])}
            for i in keep
        ]

    def match(self, predictions: Predictions, ranges: Sequence[str] | None = None) -> Match:
        """Match predictions to persons image by image, in some ranges of areas (COCO's names) or all of this scorer's.

        Raises an `InputError` if the annotation file has no such category, or lacks areas or images.
        """
        path = self.truth.annotations
        file = read_coco(path)
        rows = self.results(predictions)
        absent = sorted({row["image_id"] for row in rows} - file.images_by_id.keys())
        if absent:
            raise InputError(
                f"{path} does not list the predicted images {absent[:3]}; is it the file that the instances were read "
                "from?"
            )
        with redirect_stdout(StringIO()):  # pycocotools prints
            truth, unusable = ground_truth(file, tuple(self.categories), self.truth.skeleton.num_keypoints, self.area)
            evaluation = COCOeval(truth, truth.loadRes(rows), "keypoints")
            params = evaluation.params
            params.kpt_oks_sigmas = self.truth.sigmas
            labels = list(ranges or self.ranges)
            params.areaRng = [params.areaRng[params.areaRngLbl.index(label)] for label in labels]
            params.areaRngLbl = labels
            evaluation.evaluate()
        return Match(evaluation, unusable)

    def __call__(self, predictions: Predictions) -> Scores:
        """Return the values in percent, -1 where there is nothing to find; the diagnosis says why one is 0 or -1."""
        evaluation, unusable = self.match(predictions)
        values = self.summary(evaluation)
        if values["AP"] <= 0:
            reasons = [f"AP is {values['AP']:g}: {self._nothing(evaluation, predictions.threshold)}"]
        else:
            reasons = [f"{name} is {values[name]:g}: {why}" for name, why in self._parts(values) if values[name] <= 0]
        if unusable:
            reasons.append(
                f"{len(unusable)} annotations of {self.truth.annotations} cannot be read and are not scored, the first "
                f"has id {unusable[0]!r}"
            )
        return Scores(values, "; ".join(reasons))

    def summary(self, evaluation: COCOeval) -> dict[str, float]:
        """Return COCO's ten values of a match, in percent, -1 where there is nothing to find."""
        with redirect_stdout(StringIO()):
            evaluation.accumulate()
            evaluation.summarize()
        values = zip(COCO_VALUES, evaluation.stats, strict=True)
        return {name: float(value) * 100 if value >= 0 else -1.0 for name, value in values}

    def resampler(self, predictions: Predictions, names: Sequence[str] | None = None) -> Resampler:
        """See `Scorer.resampler`; NaN stands for -1."""
        computed = [name for name in COCO_VALUES if names is None or name in names]
        ranges = list(dict.fromkeys(MEASURES[name].area for name in computed))
        return CocoResampler(self.match(predictions, ranges).evaluation, computed)

    def _parts(self, values: Mapping[str, float]) -> list[tuple[str, str]]:
        """Return the names of the values that see some persons only, and why each is 0 or -1 if it is."""
        return [
            (name, f"no prediction finds a person who {where}" if values[name] == 0 else f"no annotated person {where}")
            for name, where in RANGES.items()
        ]

    def _nothing(self, evaluation: COCOeval, threshold: float) -> str:
        """Return why AP is 0 or -1."""
        path = self.truth.annotations
        persons, predicted = (data.dataset["annotations"] for data in (evaluation.cocoGt, evaluation.cocoDt))
        labelled = [a for a in persons if a["num_keypoints"] > 0]
        if not persons:
            return f"{path} annotates nobody, as test sets do; their server scores results"
        if not labelled:
            return f"no annotation of {path} has num_keypoints > 0"
        if not {d["image_id"] for d in predicted} & {a["image_id"] for a in labelled}:
            return "predictions and annotated persons share no image id"
        if not any(a["area"] > 0 for a in labelled):
            return "annotations have no area, by which OKS is scaled"
        if all(d["score"] == 0 for d in predicted):
            return f"every person's score is 0; no joint's score exceeds {threshold:g}"
        return "no prediction comes within OKS 0.5 of a person; the network has hardly learnt anything"


class CocoSubmission(CocoAP):
    """Rescores and de-duplicates as `CocoAP` does, where only a server has the truth: `results` is what it takes."""

    columns = ()

    def __call__(self, predictions: Predictions) -> Scores:
        """Return no values."""
        return Scores({})


def ground_truth(file: CocoFile, categories: tuple[int, ...], joints: int, area: str) -> tuple[COCO, list[Any]]:
    """Return all persons and crowds of categories for one COCOeval, which writes into them, and the ids left out.

    They count as one category, the first.
    ``area`` is ``annotation``, which every annotation must have then, or ``box`` to take 0.53 of the box whatever the
    file has. Annotations that cannot be read are left out.
    """
    persons, unusable = _persons(file, categories, joints, area)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": key} for key in file.images_by_id],
        "annotations": [dict(person) for person in persons],
        "categories": [{"id": categories[0], "name": "person"}],
    }
    truth.createIndex()
    return truth, unusable


@lru_cache(maxsize=1)
def _persons(
    file: CocoFile, categories: tuple[int, ...], joints: int, area: str
) -> tuple[list[dict[str, Any]], list[Any]]:
    records = [r for r in file.annotations or () if isinstance(r, dict) and r.get("category_id") in categories]
    persons = [_person(record, joints, area == "box", file) for record in records]
    unusable = [record.get("id") for record, person in zip(records, persons, strict=True) if person is None]
    # The file's ids may repeat, or be 0, which COCOeval takes for "not matched".
    known = enumerate((person for person in persons if person is not None), 1)
    return [{**person, "category_id": categories[0], "id": number} for number, person in known], unusable


def _person(record: Mapping[str, Any], joints: int, by_box: bool, file: CocoFile) -> dict[str, Any] | None:
    keypoints, box = as_numbers(record.get("keypoints", [0] * 3 * joints), FURTHEST), as_box(record)
    image, crowd, count = as_integer(record.get("image_id")), record.get("iscrowd", 0), record.get("num_keypoints")
    if keypoints is None or box is None or len(keypoints) != 3 * joints:
        return None
    if image not in file.images_by_id or crowd not in (0, 1):
        return None
    area = BOX_COVER * float(box[2] * box[3]) if by_box else record.get("area")
    if area is None:
        raise InputError(
            f"{file.path}: annotation {record.get('id')} has no area, by which OKS is scaled; add the mask's area, or "
            "set data.metric.area=box to take 0.53 x box width x height as CrowdPose does"
        )
    if type(area) not in (int, float) or not 0 <= area <= FURTHEST**2:
        return None
    return {
        "image_id": image,
        "bbox": np.array(box),
        "area": area,
        "iscrowd": int(crowd),
        "keypoints": keypoints,
        "num_keypoints": count if type(count) is int else int((keypoints[2::3] > 0).sum()),
    }
