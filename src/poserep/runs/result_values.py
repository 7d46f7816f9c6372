"""How values of a result are read and shown in tables."""

from collections.abc import Mapping
from typing import Any

from poserep.instances import unusual_losses

# Measures of calibration: title, key in a result, and whether less is better.
CALIBRATION_MEASURES = (
    ("mean score", "mean_score", False),
    ("mean OKS", "mean_oks", False),
    ("ECE", "ece", True),
    ("AURC", "aurc", True),
)


def is_undefined(value: float | None) -> bool:
    """Return whether there was nothing to measure, which COCO marks as -1."""
    return value is None or value != value or value == -1


def format_number(value: float | None, digits: int = 1) -> str:
    """Return the value as text, or a dash where there was nothing to measure."""
    return "–" if is_undefined(value) else f"{value:.{digits}f}"


def calibration_by_readout(result: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return how well scores follow OKS of annotated persons; empty for results from before this was recorded."""
    return dict(next(iter(result.get("calibration", {}).values()), {}))


def chief_value(result: Mapping[str, Any]) -> float | None:
    """Return the chief metric of the default readout with the first kind of boxes; None if it is undefined."""
    value = next(iter(next(iter(result["metrics"].values())).values())).get(result["columns"][0])
    return None if is_undefined(value) else value


def training_note(result: Mapping[str, Any]) -> str:
    """Return how many persons a recorded run did not train on, by reason; empty if nobody, or if nobody knows."""
    lost = unusual_losses(result.get("loaded", {}).get("train", {}).get("left_out", {}))
    return f"left out of training: {', '.join(f'{n} {reason}' for reason, n in sorted(lost.items()))}" if lost else ""
