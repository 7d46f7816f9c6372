"""Imports point one way: which part of the package may know which other, read from the syntax trees."""

import ast
from pathlib import Path

import pytest

import poserep

ROOT = Path(poserep.__file__).parent
# From the bottom up; the first name that matches decides. A part may always import itself, its package and `errors`.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "console": set(),
    "geometry": set(),
    "batch": {"geometry"},
    "skeleton": set(),
    "data": {"batch", "geometry", "skeleton"},
    "make": set(),
    "losses": set(),
    "codecs": {"batch", "geometry", "losses"},
    "metrics": {"batch", "data.instances", "geometry", "skeleton"},
    "models": set(),
    "module": {"batch", "codecs", "metrics", "models"},
    "nets": {"codecs", "geometry", "make", "models", "skeleton"},
    "sets": {"data", "geometry", "make", "metrics", "skeleton"},
    "build": {"data", "make", "module", "nets", "sets", "skeleton"},
    "protocol": set(),
    "results": set(),
    "assess": {"build", "codecs", "metrics", "protocol", "results", "sets"},
    "running": {"module"},
    "cli": {"running.interrupt"},
    "tables": {"results", "running.lease"},
    "config": {"tables.files", "tables.table"},
    "checks": {"config", "geometry"},
    "prepare": {"checks", "config", "results"},
    "budget": {"config", "geometry", "models", "nets", "sets"},
    "sweep": {"config", "prepare", "results", "running", "tables"},
    "budget.command": {"config", "console", "sweep.compositions", "tables.table"},
    "figures": {"protocol", "results"},
    "compare": {"data", "metrics", "protocol", "results", "sets"},
    "report": {"compare.stored", "console", "figures", "metrics", "protocol", "results", "tables"},
    "dashboards": {"figures", "report.rows", "results", "tables.plan"},
    "loggers": {"dashboards.follow", "dashboards.target"},
    "samples": {"batch", "build", "data", "metrics", "module", "results", "skeleton"},
    "fit": {"assess", "build", "geometry", "loggers", "make", "models", "results", "running", "samples"},
    "evaluate": {
        "assess",
        "build",
        "config",
        "console",
        "fit",
        "geometry",
        "models",
        "module",
        "report.evaluation",
        "results",
        "running",
    },
    "calibrate": {"assess", "build", "console", "evaluate", "metrics", "results", "running.trainer"},
    "compare.command": {"console", "metrics", "results"},
    "latency": set(),
    "cost": {"config", "console", "evaluate", "geometry", "latency", "models", "nets", "results", "sets"},
    "dashboards.command": {"console", "results"},
    "inspection": {"batch", "data", "figures", "make", "sets", "skeleton"},
    "data.command": {"config", "console", "inspection"},
    "deploy": {"assess", "data", "evaluate", "geometry", "models", "module", "nets", "sets", "skeleton"},
    "deploy.graph": {"codecs", "models"},
    "export": {"console", "deploy", "evaluate", "running.trainer"},
    "import_checkpoint": {
        "config",
        "console",
        "models",
        "module",
        "nets",
        "prepare",
        "results",
        "running.trainer",
        "sets",
    },
    "predict": {"console", "deploy", "results", "running.trainer"},
    "publish": {"console", "dashboards", "results"},
    "published_costs": {"figures", "latency", "results"},
    "published_costs.__main__": {
        "cli",
        "config",
        "console",
        "geometry",
        "latency",
        "models",
        "nets",
        "sets",
        "tables.files",
    },
    "quantisation": {"batch", "codecs", "data", "figures", "geometry", "metrics", "results", "skeleton"},
    "quantisation.__main__": {"cli", "config", "geometry", "make", "sets", "tables.files"},
    "report.command": {"console"},
    "schedules": set(),
    "search_speed": {"cli", "codecs", "config", "console", "geometry", "latency", "skeleton", "tables.files"},
    "train": {"config", "fit", "prepare", "report.evaluation", "results", "running", "tables.plan"},
    "sweep.command": {"console", "results", "running.lease", "tables", "train"},
    "__main__": {"cli"},
}
TOP = {
    "running.trainer",
    "assess",
    "budget.command",
    "budget.speeds",
    "build",
    "config",
    "calibrate",
    "checks",
    "compare.stored",
    "cost",
    "data.command",
    "deploy.crops",
    "deploy.restore",
    "evaluate",
    "export",
    "fit",
    "import_checkpoint",
    "make",
    "nets",
    "prepare",
    "published_costs.__main__",
    "quantisation.__main__",
    "search_speed",
    "sets",
    "sweep.compositions",
    "sweep.sweeper",
    "train",
}
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
    known = ALLOWED[part] | {"errors", part, part.split(".")[0]}
    assert {i for i in own if not any(within(i, k) for k in known)} == set()


def test_the_rules_have_one_direction():
    parts = list(ALLOWED)
    for number, part in enumerate(parts):
        for known in ALLOWED[part]:
            assert known.split(".")[0] in parts[:number], f"{part} imports {known}, which stands above it"


def test_the_rules_allow_nothing_that_is_not_needed():
    used: dict[str, set[str]] = {part: set() for part in ALLOWED}
    for file in FILES:
        part = name(file) if name(file) in ALLOWED else name(file).split(".")[0]
        used[part] |= {i.removeprefix("poserep.") for i in imports(ast.parse(file.read_text())) if within(i, "poserep")}
    idle = {
        (part, known) for part, all in ALLOWED.items() for known in all if not any(within(i, known) for i in used[part])
    }
    assert not idle
    assert {name(file) for file in FILES} >= TOP


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
        assert name(file) in ("publish", "dashboards.panels", "dashboards.sender", "dashboards.target")


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_there_are_no_utils(file):
    assert "util" not in file.stem


def test_the_rules_cover_every_part():
    parts = {name(file).split(".")[0] for file in FILES}
    assert parts - {"", "__init__"} == {part.split(".")[0] for part in ALLOWED}
