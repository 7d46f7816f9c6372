"""Matching of predictions with persons by COCO's rules, by one of two libraries that give the same numbers."""

from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from copy import copy
from io import StringIO
from typing import Any, Literal, NamedTuple

import hotcoco
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

# hotcoco has pycocotools' numbers to the last bit, of finite coordinates and scores, in a fraction of the time.
Matcher = Literal["hotcoco", "pycocotools"]


class CocoMeasure(NamedTuple):
    """One of COCO's values: recall or precision, of persons in a range of areas, at one OKS threshold or over all."""

    recall: bool
    area: str
    threshold: float | None = None


MEASURES = {
    "AP": CocoMeasure(False, "all"),
    "AP50": CocoMeasure(False, "all", 0.5),
    "AP75": CocoMeasure(False, "all", 0.75),
    "AP_M": CocoMeasure(False, "medium"),
    "AP_L": CocoMeasure(False, "large"),
    "AR": CocoMeasure(True, "all"),
    "AR50": CocoMeasure(True, "all", 0.5),
    "AR75": CocoMeasure(True, "all", 0.75),
    "AR_M": CocoMeasure(True, "medium"),
    "AR_L": CocoMeasure(True, "large"),
}


class CocoResults(NamedTuple):
    """Predictions that are ready to be matched: ids of images (N,), x, y and score of joints (N, 3 K), scores (N,)."""

    image_id: np.ndarray
    keypoints: np.ndarray
    score: np.ndarray


class CocoMatch:
    """Predictions of one category, matched with its persons image by image.

    Attributes:
        images: Ids of the images (I,), ascending.
        ranges: Ranges of areas, by COCO's names.
        thresholds: Thresholds of OKS (T,).
        recalls: Recalls (R,) at which precision is read.
    """

    def __init__(
        self, truth: Any, found: Any, sigmas: np.ndarray, ranges: Sequence[str], limit: int, images: np.ndarray
    ) -> None:
        """Match the annotations of two COCO objects, see `match`; they know the images by their positions."""
        self.images, self.ranges = images, list(ranges)
        self._truth, self._found, self._sigmas, self._limit = truth, found, sigmas, limit
        self._positions = list(range(len(images)))
        self._evaluation = self._evaluated()
        params = self._evaluation.params
        self.thresholds, self.recalls = np.asarray(params.iouThrs), np.asarray(params.recThrs)

    def _evaluated(self) -> Any:
        kind = hotcoco.COCOeval if isinstance(self._truth, hotcoco.COCO) else COCOeval
        with redirect_stdout(StringIO()):  # pycocotools prints
            evaluation = kind(self._truth, self._found, "keypoints")
            params = evaluation.params
            names, limits = list(params.areaRngLbl), list(params.areaRng)
            params.areaRng, params.areaRngLbl = [limits[names.index(name)] for name in self.ranges], self.ranges
            # hotcoco takes no ids for all images; none has this one.
            params.imgIds = self._positions or [len(self._truth.imgs)]
            params.maxDets, params.kpt_oks_sigmas = [self._limit], self._sigmas
            evaluation.evaluate()
        return evaluation

    def on(self, chosen: np.ndarray) -> "CocoMatch":
        """Return what this match is on some of its images (I,) bool alone."""
        part = copy(self)
        part.images, part._positions = self.images[chosen], [self._positions[i] for i in np.flatnonzero(chosen)]
        part._evaluation = part._evaluated()
        return part

    def values(self) -> dict[str, float]:
        """Return COCO's ten values in percent, -1 where there is nothing to find or no such range."""
        with redirect_stdout(StringIO()):
            self._evaluation.accumulate()
        # Of one category and one limit: (T, R, ranges) and (T, ranges).
        precision, recall = (self._evaluation.eval[name][..., 0, :, 0] for name in ("precision", "recall"))
        values = dict.fromkeys(MEASURES, -1.0)
        for name, measure in MEASURES.items():
            if measure.area in self.ranges:
                table = (recall if measure.recall else precision)[..., self.ranges.index(measure.area)]
                part = table[np.isclose(self.thresholds, measure.threshold or self.thresholds)]
                # -1 stands where nobody is to be found.
                if len(found := part[part > -1]):
                    values[name] = float(found.mean()) * 100
        return values

    def by_image(self, areas: Sequence[str]) -> dict[str, list[Any]]:
        """Return COCOeval's records (I,) of images for each of some ranges of areas, None where nobody is."""
        limits = dict(zip(map(tuple, self._evaluation.params.areaRng), self.ranges, strict=True))
        place = {key: n for n, key in enumerate(self._positions)}
        records: dict[str, list[Any]] = {area: [None] * len(place) for area in areas}
        # The libraries order them, and leave out empty images, in their own ways.
        for record in self._evaluation.evalImgs:
            if record is not None and (area := limits[tuple(record["aRng"])]) in records:
                records[area][place[record["image_id"]]] = record
        return records


def match(
    images: Sequence[int],
    persons: Sequence[Mapping[str, Any]],
    results: CocoResults,
    sigmas: np.ndarray,
    ranges: Sequence[str],
    limit: int,
    matcher: Matcher = "hotcoco",
) -> CocoMatch:
    """Match results with annotations in COCO's format, all as one category.

    Args:
        images: Ids of all images.
        persons: Annotations, with ids from 1 on.
        results: Predictions.
        sigmas: OKS sigmas of the joints.
        ranges: Ranges of areas, by COCO's names.
        limit: The number of best predictions of an image that count.
        matcher: The library that does it.
    """
    make = hotcoco.COCO if matcher == "hotcoco" else _indexed
    ids = np.array(sorted(images), int)
    # hotcoco takes no negative ids of images.
    position = {key: n for n, key in enumerate(ids.tolist())}
    frame = {"images": [{"id": n} for n in position.values()], "categories": [{"id": 1, "name": "person"}]}
    # Whether num_keypoints is 0 is all that counts; hotcoco takes no negative ones.
    annotated = [
        {
            **person,
            "image_id": position[person["image_id"]],
            "category_id": 1,
            "num_keypoints": int(person["num_keypoints"] != 0),
        }
        for person in persons
    ]
    columns = np.searchsorted(ids, results.image_id).tolist(), results.keypoints, results.score.tolist()
    predicted = [
        {"image_id": n, "category_id": 1, "keypoints": keypoints, "score": score}
        for n, keypoints, score in zip(*columns, strict=True)
    ]
    with redirect_stdout(StringIO()):
        truth = make(frame | {"annotations": annotated})
        # Neither can load an empty list.
        found = truth.loadRes(predicted) if predicted else make(frame | {"annotations": []})
    return CocoMatch(truth, found, sigmas, ranges, min(limit, len(predicted) + 1), ids)


def _indexed(data: dict[str, Any]) -> COCO:
    file = COCO()
    file.dataset = data
    file.createIndex()
    return file
