"""Dashboards as code: what they show is what runs record."""

import itertools
import json
from unittest.mock import Mock

import pytest
import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from poserep import cli
from poserep.errors import Failed, InputError
from poserep.report import dashboards
from poserep.report.dashboards import charts, read_study, save_dashboards, study_report, study_workspace
from run_records import config, line, write

EQUAL = {"_target_": "poserep.codecs.Equal", "smoothing": 0.1}
CELLS = (
    ("Heatmap", {"stride": 4, "sigma": 2.0}, "64x64"),
    ("SimCC", {"k": 2, "label": EQUAL}, "64x64"),
    ("SimCC", {"k": 3, "label": EQUAL}, "256x192"),
)


TEXTS = ("what to know", "| a |")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Two schemes, two sizes, three densities of bins, whose made-up results lack numbers for the texts of reports."""
    monkeypatch.setattr(dashboards, "study_texts", lambda study: TEXTS)
    for i, (title, codec, size) in enumerate(CELLS):
        settings = config(codec=codec, size=size)
        settings["representation"]["title"] = title
        write(tmp_path / "table", f"cell-{i:08d}", settings, [line(0, train__loss=1.0, val__AP_gt=2.0)])
    return read_study(tmp_path / "table")


def keys(study):
    """Kind, x and y of all charts."""
    return {(c.kind, c.x, c.y) for members in charts(study).values() for c in members}


def test_the_asked_for_charts_are_there(study):
    found = keys(study)
    due = {"setting.kind": "bars", "setting.height": "scatter", "setting.k": "scatter"}
    due |= {"cost/GMACs": "front", "cost/params_M": "front"}
    assert {(kind, x, f"result/AP_{boxes}") for x, kind in due.items() for boxes in ("gt", "det")} <= found
    assert {("curves", "epoch", "train/loss"), ("curves", "epoch", "val/AP_gt")} <= found
    # One sigma was tried, and one is no curve; nothing was logged of a detector's boxes.
    assert not any(x == "setting.sigma" or y == "val/AP_det" for _, x, y in found)


def test_panels_name_keys_as_wandb_does(study):
    for chart in (chart for members in charts(study).values() for chart in members):
        made = dashboards.chart_panel(chart)._to_model().model_dump(by_alias=True)["config"]
        assert made["chartTitle"] == chart.title
        if chart.kind in ("scatter", "front"):
            x = chart.x.replace("setting.", "config:setting.value.") if "." in chart.x else f"summary:{chart.x}"
            assert (made["xAxis"], made["yAxis"]) == (x, f"summary:{chart.y}")
            assert bool(made.get("showMaxYAxisLine")) == (chart.kind == "front")
        else:
            assert made["metrics"] == [chart.y] and made["groupBy"] == "setting.value.kind"


def test_every_grid_is_of_the_studys_runs_and_schemes_have_one_colour(study):
    colours = study.run_colours
    assert colours["table-00000001"] == colours["table-00000002"] != colours["table-00000000"]
    made = study_workspace(study, "poserep", "me").runset_settings
    assert {run: settings.color for run, settings in made.run_settings.items()} == colours
    assert made.filters == "Metric('Group') = 'table'"
    blocks = study_report(study, "poserep", "me", local=True)._to_model().model_dump(by_alias=True)["spec"]["blocks"]
    assert tuple(block["content"] for block in blocks if block["type"] == "markdown-block") == TEXTS
    grids = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    assert len(grids) == len(charts(study)) + 1
    for grid in grids:
        assert [runs["filters"]["filters"][0]["value"] for runs in grid["runSets"]] == ["table"]
        assert colours.items() <= grid["customRunColors"].items()


def test_saving_again_replaces_what_was_saved(study, tmp_path, monkeypatch):
    saved = []
    for kind in (ws.Workspace, wr.Report):
        monkeypatch.setattr(kind, "url", property(lambda self: f"https://there/{type(self).__name__}"))
        monkeypatch.setattr(kind, "save", lambda self: saved.append(self))
        monkeypatch.setattr(kind, "from_url", lambda url: before[url])
    addresses = save_dashboards(study, tmp_path, "poserep", "me")
    assert json.loads((tmp_path / dashboards.SAVED).read_text()) == addresses
    before = dict(zip(addresses.values(), saved, strict=True))
    saved[0].sections, saved[1].id = [], "17"
    save_dashboards(study, tmp_path, "poserep", "me")
    assert saved[2] is saved[0] and len(saved[2].sections) == len(charts(study)) + 1
    assert saved[3].id == "17"
    monkeypatch.setattr(ws.Workspace, "save", Mock(side_effect=ValueError("no such project\nand more")))
    with pytest.raises(Failed, match="no such project; try again with a key"):
        save_dashboards(study, tmp_path, "poserep", "me")


def test_every_key_is_in_the_record_of_real_runs(copied, tmp_path, capsys):
    copied("heatmap", "table/heatmap")
    folder = copied("simcc", "table/simcc").parent
    found = read_study(folder)
    assert {x for _, x, _ in keys(found)} >= {"setting.k", "setting.sigma", "setting.kind"}
    for (kind, x, y), entry in itertools.product(keys(found), found.entries):
        known = {key for row in entry.history.values() for key in row} if kind == "curves" else set(entry.summary)
        assert y in known and x.removeprefix("setting.") in (entry.config["setting"] if "." in x else known)
    with pytest.raises(InputError, match="no finished run"):
        read_study(tmp_path)
    # The command, without a network and twice the same.
    words = ["wandb", "dashboard", folder.name, str(folder.parent)]
    files = [tmp_path / f"{name}.json" for name in "ab"]
    for file in files:
        assert cli.main([*words, "--json", str(file)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    blocks = json.loads(files[0].read_text())["report"]["spec"]["blocks"]
    introduction, results = (block["content"] for block in blocks if block["type"] == "markdown-block")
    assert "| Heatmap | dark | 64x64 |" in results and "| SimCC Gaussian | argmax | 64x64 |" in results
    assert "Drawn people, not photographs" in introduction
    capsys.readouterr()
    assert cli.main(words) == 0 and "AP (gt boxes) over GMACs, with the front" in capsys.readouterr().out
