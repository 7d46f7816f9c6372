"""Metrics of predictions in image px."""

from poserep.metrics.base import PoseMetric, Predictions
from poserep.metrics.coco import CocoAP
from poserep.metrics.oks import oks, oks_nms

__all__ = ["CocoAP", "PoseMetric", "Predictions", "oks", "oks_nms"]
