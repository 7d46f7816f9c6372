"""PCKh of MPII: the share of joints closer to the truth than a part of the head's length."""

from collections.abc import Sequence

import numpy as np

from poserep.errors import InputError
from poserep.instances import Truth
from poserep.metrics.epe import distances
from poserep.metrics.scorer import Predictions, Scores, SumScorer

GROUPS = {"Head": ("head_top",)} | {
    part.capitalize(): (f"left_{part}", f"right_{part}")
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
}
# Hardly anybody misses the middle of the trunk.
NOT_IN_MEAN = ("pelvis", "thorax")
_SHOWN = (0.5, 0.1)


class PCKh(SumScorer):
    """Percentage of labelled joints whose error is at most a threshold, in units of `Instance.head`.

    By threshold ``t``: ``PCKh@t``, the share among all joints but pelvis and thorax, and the groups ``Head@t``,
    ``Shoulder@t``, ``Elbow@t``, ``Wrist@t``, ``Hip@t``, ``Knee@t`` and ``Ankle@t``, each the plain mean of left and
    right. ``PCKh@t`` is not the mean of the groups: on MPII it also counts the upper neck, which no group shows.

    Where published code differs:

    - Tables of HRNet's code and its descendants (DARK, TokenPose) print as "@0.1" what is measured at 0.11. Here that
      is ``PCKh@0.11``; ``PCKh@0.1`` is at 0.1, as in SimCC's tables.
    - An error equal to the threshold counts in HRNet's code; with ``strict`` it does not, as in mmpose and
      pytorch-pose.
    - A joint that nobody has labelled makes its group and the mean NaN in HRNet's code, and counts as -100 in a group
      of mmpose. Here it is left out, and the diagnosis says so.
    - The code takes distances in 1-based coordinates. That cancels, but for the rounding of single precision.

    Every labelled person needs a head length, and the skeleton the joints of the groups, by name. 0.5 and 0.1, which
    tables show, must be among the ``thresholds``.
    """

    columns = (*(f"PCKh@{t:g}" for t in _SHOWN), *(f"{group}@{_SHOWN[0]:g}" for group in GROUPS))

    def __init__(self, truth: Truth, thresholds: Sequence[float] = (0.5, 0.1, 0.11), strict: bool = False) -> None:
        super().__init__(truth)
        self.thresholds, self.strict = tuple(thresholds), strict
        if not set(_SHOWN) <= set(self.thresholds) or not all(t > 0 for t in self.thresholds):
            raise InputError(
                f"thresholds={list(thresholds)} of PCKh must be positive and hold 0.5 and 0.1, which tables show; set "
                "+data.metric.thresholds, for example [0.5, 0.1, 0.2]"
            )
        names = truth.skeleton.names
        absent = [n for group in GROUPS.values() for n in group if n not in names]
        if absent:
            raise InputError(
                f"PCKh needs joints that skeleton {truth.skeleton.name!r} lacks: {absent}; name them so if it has "
                "them, or take another data.metric"
            )
        self.groups = np.array([[n in group for n in names] for group in GROUPS.values()], np.float64)
        self.in_mean = np.array([n not in NOT_IN_MEAN for n in names], np.float64)
        lacking = truth.labelled.any(1) & ~(truth.instances.head > 0)
        if lacking.any():
            raise InputError(
                f"{truth.annotations}: {lacking.sum()} of {len(lacking)} persons have no head length, by which PCKh "
                f"measures (the first has id {truth.instances.id[lacking][0]}); set "
                "data.val.heads=annot/gt_valid.mat if these are the published validation persons, or give their "
                "records a head_box [x1, y1, x2, y2]"
            )

    def sums(self, predictions: Predictions) -> np.ndarray:
        """Return labelled joints and hits at each threshold, (N, (1 + T) K)."""
        index = predictions.index
        labelled = self.truth.labelled[index]
        # Persons without a head length have no labelled joint.
        head = np.where(labelled.any(1), self.truth.instances.head[index], 1.0)
        error = (distances(self.truth.instances.keypoints[index], predictions.xy) / head[:, None])[:, None]
        limit = np.array(self.thresholds)[:, None]
        hit = (error < limit if self.strict else error <= limit) & labelled[:, None]
        return np.concatenate([labelled[:, None], hit], 1).reshape(len(index), -1).astype(np.float64)

    def finish(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """See `SumScorer.finish`; percentages."""
        counts = totals.reshape(len(totals), 1 + len(self.thresholds), -1)
        labelled = counts[:, 0]
        values = {}
        with np.errstate(invalid="ignore"):
            for threshold, hits in zip(self.thresholds, counts[:, 1:].swapaxes(0, 1), strict=True):
                values[f"PCKh@{threshold:g}"] = 100 * ((hits @ self.in_mean) / (labelled @ self.in_mean))
                share = 100 * np.nan_to_num(hits / labelled)
                groups = (share @ self.groups.T) / ((labelled > 0) @ self.groups.T)
                values |= {f"{name}@{threshold:g}": value for name, value in zip(GROUPS, groups.T, strict=True)}
        return values

    def __call__(self, predictions: Predictions) -> Scores:
        """See `SumScorer`; the diagnosis names the joints that nobody has labelled."""
        values, _ = super().__call__(predictions)
        seen = self.truth.labelled[predictions.index].any(0)
        if not seen.any():
            return Scores(
                values, f"PCKh has nothing to measure: no person of {self.truth.annotations} has labelled joints"
            )
        names = np.array(self.truth.skeleton.names)[~seen].tolist()
        missed = [name for name in names if name not in NOT_IN_MEAN]
        note = f"PCKh leaves out {', '.join(missed)}: nobody has them labelled; groups are of the others"
        return Scores(values, note if missed else "")
