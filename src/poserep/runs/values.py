"""How values are shown in tables."""

from collections.abc import Mapping
from typing import Any

# Of calibration: title, key in a result, and whether less is better.
MEASURES = (
    ("mean score", "mean_score", False),
    ("mean OKS", "mean_oks", False),
    ("ECE", "ece", True),
    ("AURC", "aurc", True),
)


def undefined(value: float | None) -> bool:
    """Whether there was nothing to measure; COCO writes -1 for that."""
    return value is None or value != value or value == -1


def number(value: float | None, digits: int = 1) -> str:
    """A value, or a dash where there was nothing to measure."""
    return "–" if undefined(value) else f"{value:.{digits}f}"


def columns(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The values that tables show, the chief one first."""
    return tuple(result["columns"])


def calibration(result: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """How well scores follow OKS on annotated boxes, by readout; empty for results from before this was recorded."""
    return result.get("calibration", {}).get("gt", {})
