"""The HTML page of a study: one file that holds everything, figures as SVG or JPEG, and asks for nothing."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import jinja2
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from poserep.drawing import STYLE
from poserep.report.figures.calibration import reliability_figure
from poserep.report.figures.choices import gmacs_figure, k_figure, size_figure, smoothing_figure
from poserep.report.figures.crops import crops_figure, views_figure, worst_figure
from poserep.report.figures.curves import accuracy_figure, training_figure
from poserep.report.figures.errors import error_kinds_figure, joint_errors_figure
from poserep.report.labels import Result
from poserep.report.run_sheets import calibration_sheet, limit_notes, row_notes, run_sheets, speed_sheet, training_notes
from poserep.report.study import StudyReport


def study_page(report: StudyReport) -> str:
    """Return the page as text."""
    results, rows = report.results, report.rows
    return render(
        "report.html.j2",
        title=report.title,
        published=report.paper_sheets,
        missing=report.missing,
        comparisons=run_sheets(report.title, rows),
        calibration=calibration_sheet(rows),
        speed=speed_sheet(results) if results else None,
        notes=row_notes(rows),
        real=all(row.real for row in rows),
        limits=[*limit_notes(results), *training_notes(results)],
        figures=page_figures(results) if results else {},
        recipes=sorted({recipe(result) for result in results}),
        provenance=results[0]["provenance"] if results else None,
    )


def render(template: str, **values: object) -> str:
    """Return one of the templates of this package, filled with values."""
    loader = jinja2.PackageLoader("poserep.report", "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(template).render(**values)


def recipe(result: Result) -> str:
    """Return how a run was trained, on one line."""
    config, cost, optim = result["config"], result["cost"], result["config"]["optim"]
    weights = config.get("init") or config["backbone"].get("weights") or "random"
    schedule = optim["schedule"]["_target_"].split(".")[-1].replace("_", " ")
    what = "images" if "scene" in result["metrics"] else "persons"
    return (
        f"{cost['train_instances']} {what} × {result['epochs']} epochs, batch {cost['batch']}, "
        f"{optim['optimizer']['_target_'].split('.')[-1]} with peak LR {cost['lr']:.1e}, {schedule} schedule, backbone "
        f"{config['names']['backbone']}, weights {weights}"
    )


def page_figures(results: Sequence[Result]) -> dict[str, str]:
    """Draw all figures of a study; return an ``<img>`` source by name, without those that have no data."""
    # Two metrics share no axis: curves are of the first run's.
    alike = [r for r in results if r["columns"] == results[0]["columns"]]
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
