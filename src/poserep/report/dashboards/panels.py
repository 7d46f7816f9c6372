"""Dashboards of a study as code: a workspace with its charts, and a report that compares its schemes, for W&B."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poserep.errors import InputError
from poserep.files import write_json
from poserep.report.dashboards.charts import Chart, Study, charts
from poserep.report.rows import collect, comparisons, notes
from poserep.runs.wandb.target import first_line

SAVED = "dashboards.json"


def panel(chart: Chart, number: int = 0) -> Any:
    """W&B's panel of a chart, in the next place of a grid three panels wide."""
    import wandb_workspaces.reports.v2 as wr

    layout = wr.Layout(x=8 * (number % 3), y=6 * (number // 3), w=8, h=6)
    if chart.kind in ("scatter", "front"):
        x = wr.Config(chart.x) if chart.x.startswith("setting.") else wr.SummaryMetric(chart.x)
        front = chart.kind == "front"
        return wr.ScatterPlot(
            title=chart.title,
            x=x,
            y=wr.SummaryMetric(chart.y[0]),
            running_ymin=front and chart.lower,
            running_ymax=front and not chart.lower,
            layout=layout,
        )
    spread: dict[str, Any] = {"groupby_aggfunc": "mean", "groupby_rangefunc": "stddev", "layout": layout}
    if chart.kind == "bars":
        return wr.BarPlot(title=chart.title, metrics=list(chart.y), groupby=wr.Config(chart.x), **spread)
    kind = wr.Config("setting.kind")
    return wr.LinePlot(title=chart.title, x=chart.x, y=list(chart.y), groupby=kind, **spread)


def comparer(number: int = 0) -> Any:
    """The panel that tells runs' settings apart."""
    import wandb_workspaces.reports.v2 as wr

    return wr.RunComparer(diff_only=True, layout=wr.Layout(x=0, y=6 * number, w=24, h=9))


def filters(study: Study) -> str:
    """The study's runs, in W&B's language."""
    return f"Metric('Group') = '{study.name}'"


def workspace(study: Study, project: str, entity: str) -> Any:
    """The study's charts."""
    import wandb_workspaces.workspaces as ws

    sections = [
        ws.Section(
            name=name,
            panels=[panel(chart, i) for i, chart in enumerate(members)],
            is_open=True,
            layout_settings=ws.SectionLayoutSettings(columns=3, rows=(len(members) + 2) // 3),
        )
        for name, members in charts(study).items()
    ]
    sections.append(ws.Section(name="Settings", panels=[comparer()], is_open=False))
    columns = [f"summary:result/{metric}_{boxes}" for metric, boxes in study.measured]
    runs = ws.RunsetSettings(
        filters=filters(study),
        run_settings={run: ws.RunSettings(color=colour) for run, colour in study.colours.items()},
        pinned_columns=["run:displayName", "config:setting.value.scheme", *columns],
    )
    settings = ws.WorkspaceSettings(x_axis="epoch", max_runs=max(10, len(study.entries)))
    name = f"{study.name}: schemes compared"
    return ws.Workspace(
        entity=entity, project=project, name=name, sections=sections, settings=settings, runset_settings=runs
    )


def report(study: Study, project: str, entity: str, local: bool = False) -> Any:
    """The study's comparison with text.

    Args:
        study: What to compare.
        project: Of W&B.
        entity: Who owns it.
        local: Name no project in the sets of runs, which W&B's package would ask the server about.
    """
    import wandb_workspaces.reports.v2 as wr

    runset = wr.Runset(
        entity="" if local else entity,
        project="" if local else project,
        name=study.name,
        filters=filters(study),
        run_settings={run: wr.RunSettings(color=colour) for run, colour in study.colours.items()},
    )
    blocks: list[Any] = [wr.TableOfContents(), wr.MarkdownBlock(text=caption(study)), wr.H2(text="Results")]
    blocks.append(wr.MarkdownBlock(text=table(study)))
    for name, members in charts(study).items():
        panels = [panel(chart, i) for i, chart in enumerate(members)]
        blocks += [wr.H2(text=name), wr.PanelGrid(runsets=[runset], panels=panels)]
    blocks += [wr.H2(text="What sets runs apart"), wr.PanelGrid(runsets=[runset], panels=[comparer()])]
    title = f"{study.name}: schemes compared"
    return wr.Report(entity=entity, project=project, title=title, blocks=blocks, width="fluid")


def caption(study: Study) -> str:
    """What a reader must know before looking at numbers."""
    rows = collect(study.results)
    said = [f"{len(study.results)} finished runs. Bars and curves are means over seeds with one standard deviation."]
    if not all(row.real for row in rows):
        said.append("**Drawn people, not photographs: compare rows with each other, not with published numbers.**")
    protocols = list(dict.fromkeys(row.protocol for row in rows))
    said += [f"Protocol: {text}" for text in protocols]
    if len(protocols) > 1:
        said.append(f"Rows follow {len(protocols)} protocols; numbers compare only within one.")
    return "\n\n".join([*said, *notes(rows), "The local records are the source: `poserep report` reads them."])


def table(study: Study) -> str:
    """The rows as Markdown, mean and standard deviation over seeds."""
    lines = []
    for comparison in comparisons(collect(study.results)):
        head = ["scheme", "readout", "size", "setting", "GMACs", "seeds", *(f"{m}_{b}" for b, m in comparison.columns)]
        lines += ["", f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
        for row in comparison.rows:
            about = [row.name, row.readout, row.size, row.setting, f"{row.gmacs:.3f}", str(row.seeds)]
            lines.append(f"| {' | '.join([*about, *(row.cell(b, m) for b, m in comparison.columns)])} |")
    return "\n".join(lines[1:])


def specification(study: Study, project: str, entity: str) -> dict[str, Any]:
    """What would be saved, as W&B keeps it; without a network, and the same every time."""
    found = {"workspace": workspace(study, project, entity), "report": report(study, project, entity, local=True)}
    return {name: steady(made._to_model().model_dump(mode="json", by_alias=True)) for name, made in found.items()}


def steady(node: Any) -> Any:
    """Without what W&B's package draws at random or takes from the clock."""
    if isinstance(node, Mapping):
        drawn = ("id", "__id__", "createdAt", "updatedAt")
        return {key: steady(value) for key, value in node.items() if key not in drawn and value is not None}
    return [steady(value) for value in node] if isinstance(node, list) else node


def save(study: Study, folder: Path, project: str, entity: str | None) -> dict[str, str]:
    """Save both, in the place of those that were saved before; their addresses.

    Raises:
        InputError: If the server does not take them.
    """
    import wandb
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    path = folder / SAVED
    before = json.loads(path.read_text()) if path.is_file() else {}
    try:
        owner = entity or str(wandb.Api().default_entity)
        views = workspace(study, project, owner)
        if before.get("workspace"):
            there = ws.Workspace.from_url(before["workspace"])
            there.sections, there.settings = views.sections, views.settings
            there.runset_settings = views.runset_settings
            views = there
        views.save()
        text = report(study, project, owner)
        if before.get("report"):
            text.id = wr.Report.from_url(before["report"]).id
        text.save()
    except Exception as error:
        # Errors of the package and of the server have no class in common.
        raise InputError(
            f"W&B does not take the dashboards: {first_line(error)}; try again with a key and a network, and without "
            f"{path} if what it names is gone"
        ) from error
    addresses = {"workspace": views.url, "report": text.url}
    write_json(path, addresses)
    return addresses
