"""The HTML page of a study: one file that holds everything and asks for nothing."""

import jinja2

from poserep.report.figures.page_figures import page_figures
from poserep.report.labels import Result
from poserep.report.run_rows import row_notes
from poserep.report.run_sheets import calibration_sheet, run_sheets, speed_sheet
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
        smoke=any(result["config"]["trainer"].get("limit") for result in results),
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
    schedule = optim["schedule"]["_target_"].split(".")[-1].replace("_", " ")
    return (
        f"{cost['train_instances']} persons × {config['trainer']['epochs']} epochs, batch {cost['batch']}, "
        f"{optim['optimizer']['_target_'].split('.')[-1]} with peak LR {cost['lr']:.1e}, {schedule} schedule, backbone "
        f"{config['names']['backbone']}, weights {config['backbone']['weights'] or 'random'}"
    )
