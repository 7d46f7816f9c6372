"""Figures of a report, drawn from the files of runs, as SVG or PNG that a page can hold."""

import base64
import io
from collections.abc import Sequence

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from poserep.figures.calibration import reliability
from poserep.figures.choices import over_k, over_smoothing
from poserep.figures.crops import crops, views
from poserep.figures.curves import accuracy, training
from poserep.figures.joints import joints, taxonomy
from poserep.figures.pareto import over_gmacs, over_size
from poserep.figures.style import STYLE, Result
from poserep.figures.worst import worst
from poserep.results import columns

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
    kind, mime = ("svg", "image/svg+xml") if vector else ("png", "image/png")
    # The date would make every page differ from the last.
    metadata = {"Date": None} if vector else None
    figure.savefig(buffer, format=kind, bbox_inches="tight", dpi=110, metadata=metadata)
    plt.close(figure)
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"
