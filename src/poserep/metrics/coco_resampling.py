"""COCO's AP and AR of resampled images: persons are matched once, only the accumulation is repeated."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from poserep.metrics.coco_matching import MEASURES, CocoMatch


class _Curve:
    """Precision over recall at one OKS threshold.

    Between two true positives precision only falls. So its maximum from some recall on is a maximum over true
    positives, for which only the number of other detections of each image before each of them matters.
    """

    def __init__(self, image: np.ndarray, hit: np.ndarray, counted: np.ndarray, images: int) -> None:
        # All (N,), by falling score.
        self.image = image[hit]
        after = np.cumsum(hit) - hit
        kept = counted & (after < len(self.image))
        ones = np.ones(kept.sum(), np.int32)
        self.seen = csr_array((ones, (after[kept], image[kept])), shape=(len(self.image), images))

    def __call__(self, weights: np.ndarray, needed: np.ndarray) -> np.ndarray:
        """Return mean precision (B,) of weights (B, I) over the recalls reached by ``needed`` (B, R) true positives."""
        count = len(self.image)
        if not count:
            return np.zeros(len(weights))
        hits = weights.take(self.image, 1).cumsum(1, dtype=np.int32)
        seen = (self.seen @ weights.T).T.cumsum(1, dtype=np.int32)
        precision = hits / np.maximum(seen, 1)
        first = np.stack([row.searchsorted(least) for row, least in zip(hits, needed, strict=True)])
        # Maxima from one recall to the next; the first column begins each row, and so ends the last stretch of the one
        # before.
        start = np.minimum(first, count - 1)
        start = np.pad(start, ((0, 0), (1, 0))) + count * np.arange(len(weights))[:, None]
        best = np.maximum.reduceat(precision.ravel(), start.ravel()).reshape(start.shape)[:, 1:]
        envelope = np.maximum.accumulate(best[:, ::-1], axis=1)[:, ::-1]
        return np.where(first < count, envelope, 0.0).mean(1)


class _Area:
    """The persons of one range of areas: annotated ones, and the detections matched to them."""

    def __init__(self, images: Sequence[Any], thresholds: int, curves: Sequence[int]) -> None:
        rows = [(i, e) for i, e in enumerate(images) if e is not None]
        # (I,)
        self.positives = np.array([0 if e is None else list(e["gtIgnore"]).count(0) for e in images], np.int32)
        none = np.zeros((thresholds, 0))
        score = np.concatenate([none[0], *(e["dtScores"] for _, e in rows)])
        # As in accumulate(): of equal scores, the image with the lower id comes first.
        order = np.argsort(-score, kind="stable")
        image = np.repeat([i for i, _ in rows], [len(e["dtScores"]) for _, e in rows]).astype(np.int32)[order]
        matched = np.concatenate([none, *(e["dtMatches"] for _, e in rows)], 1)[:, order] != 0
        counted = np.concatenate([none, *(e["dtIgnore"] for _, e in rows)], 1)[:, order] == 0
        hit = matched & counted
        # (T, I)
        self.hits = np.stack([np.bincount(image[h], minlength=len(images)) for h in hit]).astype(np.int32)
        self.curves = {t: _Curve(image, hit[t], counted[t], len(images)) for t in curves}


class CocoResampler:
    """Computes COCO's AP and AR of weighted images, in percent; NaN, not -1, where a resample has nothing to find.

    An image that counts n times gives what pycocotools gives for a data set that holds it n times, except that of
    detections with equal scores in one image all copies of the first come before those of the second. The match is on
    the areas that the ``names`` (keys of `MEASURES`) ask for; AP alone takes less than half of the time of all.
    """

    def __init__(self, match: CocoMatch, names: Sequence[str] = tuple(MEASURES)) -> None:
        self.names, self.images, every = tuple(names), match.images, match.thresholds
        self._recalls = match.recalls
        # The positions of each measure's thresholds.
        self._at = {n: np.flatnonzero(np.isclose(every, MEASURES[n].threshold or every)).tolist() for n in names}
        self._areas = {}
        for area, images in match.by_image(list(dict.fromkeys(MEASURES[name].area for name in names))).items():
            curves = {t for n in names if MEASURES[n].area == area and not MEASURES[n].recall for t in self._at[n]}
            self._areas[area] = _Area(images, len(every), sorted(curves))

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return values (B,) by name for weights (B, I), how often each image counts."""
        counts = weights.astype(np.int32)
        table = {}
        for label, area in self._areas.items():
            positives = counts @ area.positives
            some = np.maximum(positives, 1)
            needed = _needed(some, self._recalls)
            # A resample without persons has no value.
            blank = np.where(positives > 0, 100.0, np.nan)
            recall = counts @ area.hits.T / some[:, None]
            table[label, True] = {t: recall[:, t] * blank for t in range(len(area.hits))}
            table[label, False] = {t: curve(counts, needed) * blank for t, curve in area.curves.items()}
        by_threshold = {name: table[MEASURES[name].area, MEASURES[name].recall] for name in self.names}
        return {name: np.mean([by_threshold[name][t] for t in self._at[name]], axis=0) for name in self.names}


def _needed(positives: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """Return the least counts (B, R) of true positives that reach recalls (R,) in floating-point division."""
    least = np.ceil(positives[:, None] * recalls)
    least -= (least - 1) / positives[:, None] >= recalls
    least += least / positives[:, None] < recalls
    return least.astype(np.int32)
