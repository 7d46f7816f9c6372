"""Imports point one way: which part of the package may know which other, read from the syntax trees."""

import ast
from pathlib import Path

import pytest

import poserep

ROOT = Path(poserep.__file__).parent
BASE = {"errors", "geometry", "skeleton", "batch"}
# The first name that matches decides. A part may always import itself and `errors`.
ALLOWED = {
    "errors": set(),
    "geometry": set(),
    "skeleton": set(),
    "batch": {"geometry"},
    "losses": BASE,
    "codecs": {"geometry", "batch", "losses"},
    "models": set(),
    "data.__main__": {"build", "data", "inspection", "sets"},
    "data": BASE,
    "metrics": BASE | {"data.instances"},
    "module": BASE | {"losses", "codecs", "models", "data", "metrics"},
    "schedules": set(),
    "loggers": {"follow", "publish"},
    "entry": {"plan", "results", "rows"},
    "publish": {"entry", "results"},
    "follow": {"entry", "publish", "results"},
    "charts": {"entry", "figures.style", "results"},
    "dashboards": {"charts", "publish", "results", "rows"},
    "results": set(),
    "tables": set(),
    "plan": {"lease", "results", "tables"},
    "lease": {"processes"},
    "interrupt": {"processes"},
    "processes": set(),
    "devices": {"interrupt"},
    "launch": {"interrupt"},
    "figures": {"protocol", "results"},
    "callbacks": {"interrupt", "module"},
    "make": set(),
    "sets": BASE | {"data", "make", "metrics"},
    "nets": {"geometry", "skeleton", "codecs", "make", "models"},
    "build": BASE | {"data", "make", "metrics", "module", "nets", "sets"},
    "protocol": set(),
    "samples": BASE | {"build", "data", "metrics", "module", "results"},
    "assess": {"build", "codecs", "metrics", "protocol", "results", "sets"},
    "fit": {
        "assess",
        "build",
        "callbacks",
        "geometry",
        "interrupt",
        "lease",
        "loggers",
        "make",
        "models",
        "results",
        "samples",
    },
    "rows": {"plan", "protocol", "results"},
    "stored": {"data", "metrics", "protocol", "results", "sets"},
    "judge": {"metrics", "stored"},
    "committed": set(),
    "compare": {"metrics", "protocol", "report", "results", "stored"},
    "inspection": BASE | {"build", "data", "figures", "make", "results", "sets"},
    "difference": {"results"},
    "report_diff": {"difference", "results"},
    "sweepfile": {"tables"},
    "standing": {"plan", "results", "tables"},
    "lines": {"plan", "protocol", "results", "rows", "standing", "tables"},
    "intervals": {"lines", "metrics", "results", "stored", "tables"},
    "sheet": set(),
    "line_sheets": {"intervals", "lines", "rows", "sheet", "tables"},
    "comparison_sheets": {"rows", "sheet"},
    "outputs": {"line_sheets", "lines", "sheet", "tables"},
    "page": {"comparison_sheets", "figures", "rows", "sheet"},
    "report": {
        "comparison_sheets",
        "intervals",
        "line_sheets",
        "lines",
        "outputs",
        "page",
        "protocol",
        "report_diff",
        "results",
        "rows",
        "sheet",
        "sweepfile",
        "tables",
    },
    "explain": {"build", "sweepfile", "tables"},
    "checks": {"build", "explain"},
    "prepare": {"build", "checks", "explain", "results"},
    "train": {
        "build",
        "devices",
        "explain",
        "fit",
        "interrupt",
        "launch",
        "lease",
        "plan",
        "prepare",
        "report",
        "results",
    },
    "sweeper": {"explain", "interrupt", "lease", "plan", "prepare", "results", "tables"},
    "sweep": {"fit", "plan", "results", "sweepfile", "tables", "train"},
    "compositions": {"build", "sweeper", "sweepfile", "tables"},
    "speeds": {"build", "geometry", "models", "nets", "sets"},
    "budget": {"build", "compositions", "speeds", "tables"},
    "evaluate": {"assess", "build", "explain", "fit", "geometry", "launch", "models", "module", "report", "results"},
    "import_checkpoint": {
        "build",
        "explain",
        "fit",
        "models",
        "module",
        "nets",
        "report",
        "prepare",
        "results",
        "sets",
    },
    "latency": set(),
    "cost": {
        "build",
        "evaluate",
        "explain",
        "fit",
        "geometry",
        "latency",
        "models",
        "nets",
        "report",
        "results",
        "sets",
    },
    "calibrate": {"assess", "build", "evaluate", "fit", "metrics", "report", "results"},
    "deploy.graph": {"codecs", "models"},
    "deploy": BASE | {"assess", "build", "data", "evaluate", "models", "module", "nets", "sets"},
    "export": {"deploy", "evaluate", "fit"},
    "predict": {"deploy", "fit", "results"},
    "published_costs": BASE
    | {"build", "explain", "figures", "latency", "models", "nets", "report", "results", "sets", "sweepfile"},
    "search_speed": {"build", "codecs", "explain", "geometry", "latency", "report", "skeleton", "sweepfile"},
    "quantisation": BASE
    | {"build", "codecs", "data", "explain", "figures", "make", "metrics", "results", "sets", "sweeper", "sweepfile"},
}
TOP = {
    "assess", "budget", "build", "calibrate", "checks", "compositions", "cost", "data.__main__", "deploy.crops",
    "deploy.restore", "evaluate", "explain", "export", "fit", "import_checkpoint", "make", "nets", "prepare",
    "published_costs.__main__", "quantisation.__main__", "report", "search_speed", "sets", "speeds", "stored",
    "sweeper", "train",
}  # fmt: skip
FILES = sorted(file for file in ROOT.rglob("*.py") if file != ROOT / "__init__.py")


def name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(module: str, part: str) -> bool:
    return module == part or module.startswith(part + ".")


def ids(file: Path) -> str:
    return name(file)


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_no_part_imports_what_stands_above_it(file):
    part = name(file) if name(file) in ALLOWED else name(file).split(".")[0]
    own = {i.removeprefix("poserep.") for i in imports(ast.parse(file.read_text())) if within(i, "poserep")}
    known = ALLOWED[part] | {"errors", part}
    assert {i for i in own if not any(within(i, k) for k in known)} == set()


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_hydra_and_omegaconf_stay_on_top(file):
    found = {i for i in imports(ast.parse(file.read_text())) if within(i, "hydra") or within(i, "omegaconf")}
    assert not found or name(file) in TOP, f"{name(file)} imports {found}"


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_dashboards_are_imported_only_where_they_are_defined_and_late(file):
    tree = ast.parse(file.read_text())
    eager = {i for node in tree.body for i in imports(node) if not isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert not any("wandb" in i.lower() for i in eager)
    if any("wandb" in i.lower() for i in imports(tree)):
        assert name(file) in ("publish", "dashboards")


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_there_are_no_utils(file):
    assert "util" not in file.stem


def test_the_rules_cover_every_part():
    parts = {name(file).split(".")[0] for file in FILES}
    assert parts - {"", "__init__"} == {part.split(".")[0] for part in ALLOWED}
