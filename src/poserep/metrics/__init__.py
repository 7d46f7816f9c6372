"""Metrics: truth and predictions in image px to numbers, in NumPy.

Configurations name the scorers as ``poserep.metrics.CocoAP``. A scorer's module is imported on first use, so that
reading a protocol does not import pycocotools, hotcoco and SciPy.
"""

from importlib import import_module
from typing import Any

SCORERS = {
    "CocoAP": "coco",
    "CocoSubmission": "coco",
    "CrowdPoseAP": "crowdpose",
    "EPE": "epe",
    "Human4DError": "human4d",
    "LandmarkAP": "nme",
    "OracleScoredAP": "oracle_scores",
    "PCKh": "pckh",
}


def __getattr__(name: str) -> Any:
    if name in SCORERS:
        return getattr(import_module(f"{__name__}.{SCORERS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
