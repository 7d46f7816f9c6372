"""Dashboards of a study as code: a workspace with its charts, and a report that compares its schemes, for W&B.

Reads RUNS/STUDY (RUNS is runs/ unless given), whose runs poserep wandb push sends. --json writes what would be saved,
without a network; --save saves it, in the place of what was saved before. Otherwise the charts are listed.

example: poserep wandb dashboard simcc-table1 --save
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from poserep.cli import parser_of
from poserep.drawing import colours
from poserep.errors import Failed, InputError, first_line
from poserep.files import write_json
from poserep.report.claims import claim_findings, claims_sheet, read_claims
from poserep.report.run_sheets import row_notes, run_rows, run_sheets
from poserep.runs.rundir import RunDir, load_results
from poserep.runs.wandb.entry import WandbEntry, read_entry
from poserep.runs.wandb.publish import add_target

# Addresses of what was saved, in the study's folder.
SAVED = "dashboards.json"


@dataclass(frozen=True)
class Chart:
    """One chart, before W&B's package makes a panel of it.

    Its ``kind`` is ``scatter`` (a point for each run), ``front`` (points, and the best so far from left to right, the
    lowest if ``lower``), ``bars`` (means over the runs of a kind) or ``curves`` (the same by epoch). ``y`` is a key of
    the history for curves, of the summary otherwise; ``x`` one of the summary, or ``setting.KEY`` of the configuration,
    by which bars join runs.
    """

    title: str
    kind: str
    y: str
    x: str = "epoch"
    lower: bool = False


@dataclass(frozen=True)
class Study:
    """What a study's dashboards are made from: results of its finished runs, and the same runs as W&B shows them."""

    name: str
    results: Sequence[Mapping[str, Any]]
    entries: Sequence[WandbEntry]

    @property
    def chief_metrics(self) -> list[tuple[str, str]]:
        """Chief metric and kind of boxes of each kind of result."""
        return list(dict.fromkeys((r["columns"][0], boxes) for r in self.results for boxes in r["metrics"]))

    @property
    def run_colours(self) -> dict[str, str]:
        """Colours by id of the run; runs of a scheme share one, the same as on the report's page."""
        schemes = {entry.id: entry.config["setting"]["scheme"] for entry in self.entries}
        by_scheme = colours(list(schemes.values()))
        return {run: by_scheme[scheme] for run, scheme in schemes.items()}


def read_study(folder: Path) -> Study:
    """Read a study's finished runs; it is an `InputError` if there are none."""
    results = load_results(folder)
    if not results:
        raise InputError(f"{folder} holds no finished run")
    return Study(folder.name, results, [read_entry(RunDir(result["path"])) for result in results])


def charts(study: Study) -> dict[str, list[Chart]]:
    """Return the charts by section, without those over something of which only one value was tried."""
    sections: dict[str, list[Chart]] = {}
    for metric, boxes in study.chief_metrics:
        key, name = f"result/{metric}_{boxes}", f"{metric} ({boxes} boxes)"
        # Points are runs, and means are over seeds: a mean over sizes or modes would be meaningless.
        sections[name] = [Chart(f"{name}, mean over seeds", "bars", key, "setting.kind")]
        over = {"height": "input height, px", "k": "k, bins per px", "sigma": "sigma, bins"}
        over["epsilon"] = "epsilon, the mass that smoothing spreads"
        for setting, what in over.items():
            if len({entry.config["setting"][setting] for entry in study.entries} - {None}) > 1:
                sections[name].append(Chart(f"{name} over {what}", "scatter", key, f"setting.{setting}"))
        less = any(metric in result["lower"] for result in study.results)
        for cost, what in (("GMACs", "GMACs"), ("params_M", "parameters, millions")):
            sections[name].append(Chart(f"{name} over {what}, with the front", "front", key, f"cost/{cost}", less))
    logged = {key for entry in study.entries for row in entry.history.values() for key in row}
    wanted = ["train/loss", *(f"val/{metric}_{boxes}" for metric, boxes in study.chief_metrics), "speed/img_s"]
    sections["Training"] = [Chart(key, "curves", key) for key in wanted if key in logged]
    scored = [m for m in ("result/ece_gt", "result/aurc_gt") if any(m in e.summary for e in study.entries)]
    sections["Scores"] = [Chart(f"{m}, mean over seeds", "bars", m, "setting.kind") for m in scored]
    return {name: members for name, members in sections.items() if members}


def chart_panel(chart: Chart, number: int = 0) -> Any:
    """Return W&B's panel of a chart, in the next place of a grid three panels wide."""
    import wandb_workspaces.reports.v2 as wr

    about: dict[str, Any] = {"title": chart.title, "layout": wr.Layout(8 * (number % 3), 6 * (number // 3), 8, 6)}
    if chart.kind in ("scatter", "front"):
        x = wr.Config(chart.x) if chart.x.startswith("setting.") else wr.SummaryMetric(chart.x)
        low, high = (chart.kind == "front" and chart.lower == lower for lower in (True, False))
        return wr.ScatterPlot(x=x, y=wr.SummaryMetric(chart.y), running_ymin=low, running_ymax=high, **about)
    about |= {"groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}
    if chart.kind == "bars":
        return wr.BarPlot(metrics=[chart.y], groupby=wr.Config(chart.x), **about)
    return wr.LinePlot(x=chart.x, y=[chart.y], groupby=wr.Config("setting.kind"), **about)


def _settings_panel() -> Any:
    """Return the panel that shows in which settings runs differ."""
    import wandb_workspaces.reports.v2 as wr

    return wr.RunComparer(diff_only=True, layout=wr.Layout(x=0, y=0, w=24, h=9))


def _runs(study: Study, settings: Any) -> dict[str, Any]:
    """Return the filter that selects the study's runs, and their colours, in a class of W&B's."""
    coloured = {run: settings(color=colour) for run, colour in study.run_colours.items()}
    return {"filters": f"Metric('Group') = '{study.name}'", "run_settings": coloured}


def study_workspace(study: Study, project: str, entity: str) -> Any:
    """Return a workspace with the study's charts."""
    import wandb_workspaces.workspaces as ws

    sections = [
        ws.Section(
            name=name,
            panels=list(map(chart_panel, members, count())),
            is_open=True,
            layout_settings=ws.SectionLayoutSettings(columns=3, rows=(len(members) + 2) // 3),
        )
        for name, members in charts(study).items()
    ]
    sections.append(ws.Section(name="Settings", panels=[_settings_panel()], is_open=False))
    columns = [f"summary:result/{metric}_{boxes}" for metric, boxes in study.chief_metrics]
    pinned = ["run:displayName", "config:setting.value.scheme", *columns]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"{study.name}: schemes compared",
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis="epoch", max_runs=max(10, len(study.entries))),
        runset_settings=ws.RunsetSettings(pinned_columns=pinned, **_runs(study, ws.RunSettings)),
    )


def study_report(study: Study, project: str, entity: str, local: bool = False) -> Any:
    """Return a report that compares the study's schemes, with text."""
    import wandb_workspaces.reports.v2 as wr

    # W&B's package would ask the server about a project that a set of runs names.
    owner: dict[str, Any] = {"entity": "", "project": ""} if local else {"entity": entity, "project": project}
    runset = wr.Runset(name=study.name, **owner, **_runs(study, wr.RunSettings))
    introduction, results = map(wr.MarkdownBlock, study_texts(study))
    blocks: list[Any] = [wr.TableOfContents(), introduction, wr.H2(text="Results"), results]
    for name, members in charts(study).items():
        blocks += [wr.H2(text=name), wr.PanelGrid(runsets=[runset], panels=list(map(chart_panel, members, count())))]
    blocks += [wr.H2(text="What sets runs apart"), wr.PanelGrid(runsets=[runset], panels=[_settings_panel()])]
    title = f"{study.name}: schemes compared"
    return wr.Report(entity=entity, project=project, title=title, blocks=blocks, width="fluid")


def study_texts(study: Study) -> tuple[str, str]:
    """Return, as Markdown, what a reader must know before looking at numbers, and the table of results."""
    rows = run_rows(study.results)
    texts = [f"{len(study.results)} finished runs. Bars and curves are means over seeds with one standard deviation."]
    if not all(row.real for row in rows):
        texts.append("**Drawn people, not photographs: compare rows with each other, not with published numbers.**")
    texts.append("The local records are the source: `poserep report` reads them.")
    sheets = run_sheets(f"{study.name}: all runs", rows, row_notes(rows))
    # What was found, by the records that are kept of the study.
    claims = claims_sheet({claim: claim_findings(claim) for claim in read_claims()}, study.name)
    sheets += [claims] if claims.rows else []
    return "\n\n".join(texts), "\n".join(sheet.markdown() for sheet in sheets)


def specification(study: Study, project: str, entity: str) -> dict[str, Any]:
    """Return what would be saved, as W&B keeps it; without a network, and the same every time."""
    made = study_workspace(study, project, entity), study_report(study, project, entity, local=True)

    def steady(node: dict[str, Any]) -> dict[str, Any]:
        # W&B's package draws these at random, or takes them from the clock.
        drawn = ("id", "__id__", "createdAt", "updatedAt")
        return {key: value for key, value in node.items() if key not in drawn and value is not None}

    workspace, report = (json.loads(one._to_model().model_dump_json(by_alias=True), object_hook=steady) for one in made)
    return {"workspace": workspace, "report": report}


def save_dashboards(study: Study, folder: Path, project: str, entity: str | None) -> dict[str, str]:
    """Save workspace and report in the place of earlier ones; return their addresses, or raise `Failed`."""
    import wandb
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    path = folder / SAVED
    before = json.loads(path.read_text()) if path.is_file() else {}
    try:
        owner = entity or str(wandb.Api().default_entity)
        views = study_workspace(study, project, owner)
        if before.get("workspace"):
            there = ws.Workspace.from_url(before["workspace"])
            there.sections, there.settings = views.sections, views.settings
            views, there.runset_settings = there, views.runset_settings
        views.save()
        text = study_report(study, project, owner)
        if before.get("report"):
            text.id = wr.Report.from_url(before["report"]).id
        text.save()
    except Exception as error:
        # Errors of the package and of the server have no class in common.
        raise Failed(
            f"W&B does not take the dashboards: {first_line(error)}; try again with a key and a network, and without "
            f"{path} if what it names is gone"
        ) from error
    addresses = {"workspace": views.url, "report": text.url}
    write_json(path, addresses)
    return addresses


def main(arguments: Sequence[str]) -> None:
    """Run the command ``poserep wandb dashboard``."""
    parser = parser_of("wandb dashboard", __doc__)
    add_target(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--save", action="store_true", help="save both on W&B")
    how.add_argument("--json", type=Path, metavar="FILE", help="write what would be saved")
    options = parser.parse_args(arguments)
    os.environ.setdefault("WANDB_SILENT", "true")
    folder = options.runs / options.study
    study = read_study(folder)
    if options.save:
        for name, address in save_dashboards(study, folder, options.project, options.entity).items():
            print(f"{name}: {address}")
    elif options.json:
        write_json(options.json, specification(study, options.project, options.entity or ""))
        print(f"specification: {options.json}")
    else:
        for name, members in charts(study).items():
            print("\n".join([name, *(f"  {chart.title}" for chart in members)]))
