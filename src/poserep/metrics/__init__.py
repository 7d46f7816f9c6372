"""Metrics of predictions in image px."""

from poserep.metrics.base import PoseMetric, Predictions, Resampler
from poserep.metrics.coco import CocoAP
from poserep.metrics.crowdpose import CrowdPoseAP
from poserep.metrics.epe import EPE
from poserep.metrics.human4d import Human4DError
from poserep.metrics.oks import oks, oks_nms
from poserep.metrics.pckh import PCKh
from poserep.metrics.submission import CocoSubmission

__all__ = [
    "EPE",
    "CocoAP",
    "CocoSubmission",
    "CrowdPoseAP",
    "Human4DError",
    "PCKh",
    "PoseMetric",
    "Predictions",
    "Resampler",
    "oks",
    "oks_nms",
]
