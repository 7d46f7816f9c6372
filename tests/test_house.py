"""The house: small, imports point one way, public names are unique, and its picture is that of the source."""

import ast
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import poserep
from poserep.overrides import CONF

ROOT = Path(poserep.__file__).parent
VOCABULARY = {"cli", "config", "drawing", "errors", "files", "geometry", "instances", "overrides", "sheet", "skeleton"}
CORE = {"codecs", "models", "data", "metrics"}
# From the bottom up: what each part imports beside itself.
ALLOWED = {
    **{part: {"cli", "errors", "geometry", "overrides", "skeleton"} for part in VOCABULARY},
    "codecs": VOCABULARY,
    "models": VOCABULARY,
    "data": VOCABULARY,
    # The reader of annotation files.
    "metrics": VOCABULARY | {"data"},
    "runs": VOCABULARY,
    "training": VOCABULARY | CORE | {"runs"},
    "sweeps": VOCABULARY | CORE | {"runs", "training"},
    "report": VOCABULARY | {"data", "metrics", "runs", "sweeps"},
    "deploy": VOCABULARY | CORE | {"runs", "training"},
    "studies": VOCABULARY | CORE | {"deploy", "report", "runs", "sweeps", "training"},
}
# The modules that import Hydra and OmegaConf.
COMPOSING = ("config", "overrides", "sweeps.application", "sweeps.composition", "sweeps.sweeper")
FILES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(file.read_text())
    for file in ROOT.rglob("*.py")
    if file.parent != ROOT or not file.stem.startswith("__")
}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_point_one_way():
    for module, tree in FILES.items():
        part = module.split(".")[0]
        used = {name.split(".")[1] for name in imported(tree) if name.startswith("poserep.")}
        assert used <= ALLOWED[part] | {part}, module
        libraries = {name.split(".")[0] for name in imported(tree)}
        assert module in COMPOSING or not libraries.intersection(("hydra", "omegaconf")), module


def test_wandb_is_imported_late():
    for module, tree in FILES.items():
        eager = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not any("wandb" in name.split(".")[0] for node in eager for name in imported(node)), module


def public_names(tree: ast.Module) -> Iterator[str]:
    """Functions, classes and constants of a module, but the ``main`` that a command may have."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if hasattr(node, "target") else []
        names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        for name in [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else names:
            if not name.startswith("_") and name != "main":
                yield name


def test_public_names_are_unique():
    where: dict[str, Path] = {}
    for file in ROOT.rglob("*.py"):
        for name in public_names(ast.parse(file.read_text())):
            assert where.setdefault(name, file) == file, f"{name} of {file}"


def test_the_house_is_small():
    assert len([file for file in ROOT.glob("*.py") if not file.stem.startswith("__")]) <= 10
    assert len([folder for folder in ROOT.iterdir() if (folder / "__init__.py").exists()]) <= 10
    for file in ROOT.rglob("*.py"):
        assert len(file.read_text().splitlines()) <= 250 and "util" not in file.stem, file


def test_the_picture_is_current(tmp_path, monkeypatch):
    docs = CONF.parent / "docs"
    monkeypatch.setattr(sys, "argv", ["draw_architecture.py", str(tmp_path / "now.svg")])
    runpy.run_path(str(docs / "draw_architecture.py"), run_name="__main__")
    same = (tmp_path / "now.svg").read_bytes() == (docs / "architecture.svg").read_bytes()
    assert same, "docs/architecture.svg is not current: run python docs/draw_architecture.py"
