"""All figures of a report's page, as SVG or JPEG that the page can hold."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from poserep.drawing import STYLE
from poserep.report.figures.calibration import reliability_figure
from poserep.report.figures.choices import k_figure, smoothing_figure
from poserep.report.figures.crops import crops_figure, views_figure, worst_figure
from poserep.report.figures.curves import accuracy_figure, training_figure
from poserep.report.figures.errors import error_kinds_figure, joint_errors_figure
from poserep.report.figures.pareto import gmacs_figure, size_figure
from poserep.report.labels import Result
from poserep.runs.values import shown_columns


def page_figures(results: Sequence[Result]) -> dict[str, str]:
    """Draw all figures of a study; return an ``<img>`` source by name, without those that have no data."""
    # Two metrics share no axis: curves are of the first run's.
    alike = [r for r in results if shown_columns(r) == shown_columns(results[0])]
    with plt.rc_context(STYLE):
        vectors = {
            "accuracy": accuracy_figure(alike),
            "size": size_figure(results),
            "gmacs": gmacs_figure(results),
            "k": k_figure(results),
            "smoothing": smoothing_figure(results),
            "training": training_figure(alike),
            "reliability": reliability_figure(results),
            "kinds": error_kinds_figure(results),
            "joints": joint_errors_figure(results),
        }
        photographs = {"worst": worst_figure(results), "crops": crops_figure(results), "views": views_figure(results)}
        figures = vectors | photographs
        return {name: encode_figure(figure, name in vectors) for name, figure in figures.items() if figure}


def encode_figure(figure: Figure, vector: bool) -> str:
    """Return the figure as a data URI, and close it."""
    # The date would make every page differ from the last.
    svg: dict[str, Any] = {"format": "svg", "metadata": {"Date": None}}
    # A fifth of the size of PNG; full colour resolution keeps thin lines crisp.
    jpeg: dict[str, Any] = {"format": "jpeg", "pil_kwargs": {"quality": 85, "subsampling": 0}}
    buffer = io.BytesIO()
    figure.savefig(buffer, bbox_inches="tight", dpi=110, **(svg if vector else jpeg))
    plt.close(figure)
    return f"data:image/{'svg+xml' if vector else 'jpeg'};base64,{base64.b64encode(buffer.getvalue()).decode()}"
