"""CrowdPose's average precision: of all images, and of easy, medium and hard ones."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from poserep.errors import InputError
from poserep.instances import Truth
from poserep.metrics.coco import COCO_LIMIT, PASSED_OVER, CocoAP
from poserep.metrics.coco_matching import CocoMatch, Matcher
from poserep.metrics.coco_resampling import CocoResampler
from poserep.metrics.scorer import Predictions, Resampler

CROWD_VALUES = ("AP", "AP50", "AP75", "AR", "AR50", "AR75")
CROWDING_PARTS = ("AP_E", "AP_M", "AP_H")


class CrowdPoseAP(CocoAP):
    """COCO's AP and AR with CrowdPose's areas, and AP of easy, medium and hard images apart, in percent.

    It follows ``crowdposetools``: a person's area is 0.53 of its box, in OKS too; at most 20 predictions of an image
    count (``max_detections``); images are easy, medium or hard by their ``crowdIndex``, and AP_E, AP_M and AP_H are of
    these images alone (rounded to 4 decimals there, not here). There are no medium and large persons: AP_M is of
    images.

    An image is easy below the first of the ``splits``, hard from the second on, medium between. The code has 0.2 and
    0.8, which published numbers follow; the paper's text says 0.1 and 0.8. For ``nms_threshold`` and ``matcher``
    see `CocoAP`.
    """

    columns = ("AP", "AP_E", "AP_M", "AP_H")
    ranges: ClassVar[tuple[str, ...]] = ("all",)

    def __init__(
        self,
        truth: Truth,
        nms_threshold: float | None = 0.9,
        splits: Sequence[float] = (0.2, 0.8),
        max_detections: int = COCO_LIMIT,
        matcher: Matcher = "hotcoco",
    ) -> None:
        super().__init__(truth, nms_threshold, "box", max_detections, matcher)
        if len(splits) != 2 or not splits[0] < splits[1]:
            raise InputError(f"splits={list(splits)} must be two ascending crowd indices, such as [0.2, 0.8]")
        self.splits = (float(splits[0]), float(splits[1]))

    def uncounted(self) -> dict[str, int]:
        """See `CocoAP.uncounted`; num_keypoints counts neither head nor neck, so that it passes over some as a rule."""
        return {reason: count for reason, count in super().uncounted().items() if reason != PASSED_OVER}

    def crowding(self, images: Sequence[int]) -> np.ndarray:
        """Return whether each image is easy (0), medium (1) or hard (2), (I,); all need a ``crowdIndex``."""
        listed = self.file.images_by_id
        index: dict[int, Any] = {int(i): listed[i].get("crowdIndex") for i in images}
        lacking = [i for i, value in index.items() if type(value) not in (int, float) or not 0 <= value < 1e6]
        if lacking:
            raise InputError(
                f"{self.truth.annotations}: images {lacking[:3]} have no crowdIndex, by which they are easy, medium "
                "or hard; take CrowdPose's own file, or data.metric._target_=poserep.metrics.CocoAP with area=box"
            )
        return np.searchsorted(self.splits, np.array(list(index.values()), float), side="right")

    def summary(self, matched: CocoMatch) -> dict[str, float]:
        """See `CocoAP.summary`."""
        values, parts = matched.values(), self.parts(matched)
        return {n: values[n] for n in CROWD_VALUES} | {n: matched.on(mask).values()["AP"] for n, mask in parts.items()}

    def parts(self, matched: CocoMatch) -> dict[str, np.ndarray]:
        """Return which images (I,) are easy, medium and hard, bool, by the name of their AP."""
        crowding = self.crowding(matched.images.tolist())
        return {name: crowding == k for k, name in enumerate(CROWDING_PARTS)}

    def resampler(self, predictions: Predictions, names: Sequence[str] | None = None) -> Resampler:
        """See `Scorer.resampler`; NaN stands for -1."""
        return _CrowdResampler(self, predictions)

    def _parts(self, values: Mapping[str, float]) -> list[tuple[str, str]]:
        low, high = self.splits
        where = (f"below {low:g}", f"from {low:g} to {high:g}", f"of {high:g} or more")
        who = {p: "no prediction finds a" if values[p] == 0 else "there is no labelled" for p in CROWDING_PARTS}
        return [
            (part, f"{who[part]} person on an image with a crowdIndex {crowding}")
            for part, crowding in zip(CROWDING_PARTS, where, strict=True)
        ]


class _CrowdResampler:
    def __init__(self, scorer: CrowdPoseAP, predictions: Predictions) -> None:
        matched = scorer.match(predictions)
        self.all = CocoResampler(matched, CROWD_VALUES)
        self.images = self.all.images
        parts = scorer.parts(matched)
        self.parts = {name: (mask, CocoResampler(matched.on(mask), ("AP",))) for name, mask in parts.items()}

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        return self.all(weights) | {name: part(weights[:, mask])["AP"] for name, (mask, part) in self.parts.items()}
