"""Figures of a report, drawn from the files of runs, as SVG or JPEG that a page can hold."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from poserep.drawing import STYLE
from poserep.report.figures.calibration import reliability
from poserep.report.figures.choices import over_k, over_smoothing
from poserep.report.figures.crops import crops, views
from poserep.report.figures.curves import accuracy, training
from poserep.report.figures.joints import joints, taxonomy
from poserep.report.figures.pareto import over_gmacs, over_size
from poserep.report.figures.style import Result
from poserep.report.figures.worst import worst
from poserep.runs.values import columns

VECTOR = ("accuracy", "size", "gmacs", "k", "smoothing", "training", "reliability", "taxonomy", "joints")


def draw(results: Sequence[Result]) -> dict[str, str]:
    """All figures of a study by name, each as an ``<img>`` source; those without data are left out."""
    # Two metrics share no axis: curves are of the first run's.
    alike = [r for r in results if columns(r) == columns(results[0])]
    with plt.rc_context(STYLE):
        made = {
            "accuracy": accuracy(alike),
            "size": over_size(results),
            "gmacs": over_gmacs(results),
            "k": over_k(results),
            "smoothing": over_smoothing(results),
            "training": training(alike),
            "reliability": reliability(results),
            "taxonomy": taxonomy(results),
            "joints": joints(results),
            "worst": worst(results),
            "crops": crops(results),
            "views": views(results),
        }
        return {name: encode(figure, vector=name in VECTOR) for name, figure in made.items() if figure}


def encode(figure: Figure, vector: bool) -> str:
    """A data URI; closes the figure."""
    buffer = io.BytesIO()
    options: dict[str, Any]
    if vector:
        # The date would make every page differ from the last.
        options = {"format": "svg", "metadata": {"Date": None}}
    else:
        # Crops of photographs: a fifth of their size as PNG; full colour resolution keeps thin lines crisp.
        options = {"format": "jpeg", "pil_kwargs": {"quality": 85, "subsampling": 0}}
    figure.savefig(buffer, bbox_inches="tight", dpi=110, **options)
    plt.close(figure)
    mime = "image/svg+xml" if vector else "image/jpeg"
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"
