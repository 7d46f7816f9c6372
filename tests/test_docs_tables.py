"""docs/tables.md and the README: every table is named, what is counted and linked is so, and what is run composes."""

import re
import shlex
from dataclasses import replace
from functools import cache

import draw_findings
import pytest

from poserep.config import compose
from poserep.overrides import CONF, SWEEPS
from poserep.sweeps.sweep_file import complete_table, read_sweep, table_names
from poserep.sweeps.table import MODES, cells_of, chosen

ROOT = CONF.parent
PAGE = (ROOT / "docs" / "tables.md").read_text()
README = (ROOT / "README.md").read_text()
WEIGHTS = {
    "resnet50-19c8e357": "R50", "resnet101-5d3b4d8f": "R101", "resnet152-b121ed2d": "R152", "hrnet_w32-36af842e": "W32",
    "hrnet_w48-8ef0771d": "W48", "hrt_small": "HS", "hrt_base": "HB",
}  # fmt: skip
DATA = {"coco-test-dev": "COCO test-dev", "crowdpose": "CrowdPose"}


def rows(name):
    """The rows of a table of the page, by the sweep that each names."""
    (found,) = re.findall(rf"<!-- table: {name} -->\n\n((?:\|.*\n)+)", PAGE)
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in found.splitlines()[2:]]
    linked = {re.search(r"\[([\w-]+)\]\(\.\./sweeps/\1\.yaml\)", " ".join(row)).group(1): row for row in cells}
    assert len(linked) == len(cells)
    return linked


table = cache(complete_table)


@cache
def runs(name, mode):
    return cells_of(replace(table(name), mode=mode))


def test_every_sweep_with_rows_stands_in_the_table_it_belongs_to():
    papers = {name for name in table_names() if table(name).paper}
    assert set(rows("sweeps")) == papers and set(rows("studies")) == {*table_names()} - papers
    for path in (ROOT / "sweeps").glob("*.yaml"):
        assert re.search(rf"\b{path.stem}\b", PAGE), path.stem


@pytest.mark.parametrize("name", rows("sweeps"))
def test_rows_runs_data_weights_and_modes_are_right(name):
    about, (_, _, count, quoted, number, data, weights, _) = table(name), rows("sweeps")[name]
    assert (int(count), int(quoted)) == (len(about.rows), len(about.rows) - len(about.runnable))
    assert {int(number)} == {len(runs(name, mode)) for mode in MODES}, "the same in either mode"
    assert data == DATA.get(about.data, (about.data or "").upper())
    said = " ".join(o for cell in runs(name, "published") for o in cell.overrides)
    assert said.count(".pth") == sum(said.count(f"weights/{file}.pth") for file in WEIGHTS)
    needed = (label for file, label in WEIGHTS.items() if f"weights/{file}.pth" in said)
    assert weights == (", ".join(dict.fromkeys(needed)) or "–")
    # Hydra refuses `table.mode=controlled` where the file has no such key.
    assert read_sweep(ROOT / "sweeps", name)["table"].get("mode") == "published" or not about.runnable


def test_titles_are_those_of_the_papers_and_undetermined_settings_are_named():
    for name, row in rows("sweeps").items():
        about, (*paper, number) = table(name), row[0].split()
        assert about.paper.startswith("The repro" if paper[0] == "Reproduction" else f"{paper[0]} (")
        assert about.paper.endswith(f"{'figure' if 'figure' in paper else 'table'} {number}")
        assert row[-1] or not any(r.undetermined or r.quoted for r in about.rows), name


def test_totals_and_our_own_studies_are_counted_right():
    for name, (_, count, number, _) in rows("studies").items():
        assert (int(count), int(number)) == (len(table(name).rows), len(runs(name, table(name).mode)))
    papers = list(rows("sweeps"))
    (total,) = re.findall(r"Together they are (\d+), of which more than a hundred repeat", PAGE)
    assert int(total) == sum(len(runs(name, "published")) for name in papers)
    data = {name: read_sweep(ROOT / "sweeps", name)["overridden"].get("data") for name in papers}
    different = {(data[name], frozenset(cell.overrides)) for name in papers for cell in runs(name, "published")}
    assert int(total) - len(different) > 100


def test_files_and_places_that_are_linked_exist():
    for page, folder in ((PAGE, ROOT / "docs"), (README, ROOT)):
        for target in re.findall(r"\]\(([^)\s]+)\)", page):
            file, _, place = target.partition("#")
            path = (folder / file) if file else folder / "tables.md"
            assert path.exists(), target
            heads = re.findall(r"^#+ (.+)$", path.read_text(), re.M) if place else []
            anchors = [re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads]
            assert not place or place in anchors, target


def test_files_that_are_needed_are_those_of_the_recipes():
    files = set(re.findall(r"weights/[\w-]+\.pth", PAGE))
    places = [*(CONF / "recipes").glob("*.yaml"), *SWEEPS.glob("*.yaml")]
    assert files == {file for path in places for file in re.findall(r"weights/[\w-]+\.pth", path.read_text())}
    recipes = table("simcc-table1").recipes
    for group in ("val_boxes", "crowdpose_boxes"):
        assert f"`{recipes[group][0].split('=')[1]}`" in PAGE


LINES = [line.split("  #")[0].strip() for line in [*PAGE.splitlines(), *README.splitlines()]]
MAKE = [line for line in LINES if line.startswith("make reproduce-simcc")]
LAUNCHERS = re.findall(r"\| `((?:hydra/launcher|trainer\.devices)=[^`]+)` \|", PAGE)


@pytest.mark.parametrize("line", sorted({*MAKE, *(f'make reproduce-dark-table1 ARGS="{one}"' for one in LAUNCHERS)}))
def test_commands_compose(line):
    assert len(MAKE) > 3 and len(LAUNCHERS) == 5
    _, target, *rest = shlex.split(line)
    name, given = target.removeprefix("reproduce-"), shlex.split(" ".join(rest).removeprefix("ARGS="))
    if "--rows" in given:
        where = given.index("--rows")
        assert chosen(table(name), [given[where + 1]])
        del given[where : where + 2]
    # What several runs take in turn is no value of one, and Ray is an extra.
    given = [word.replace("...", "1") for word in given if word != "hydra/launcher=ray"]
    assert compose([re.sub(r"=(\w+),[\w,]+$", r"=\1", word) for word in given], name, ROOT / "sweeps").cfg.study == name


def test_the_findings_have_the_numbers_that_are_kept():
    assert draw_findings.page() == draw_findings.PAGE.read_text(), "run docs/draw_findings.py"
