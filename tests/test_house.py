"""The house is small, no two public things in it share a name, and its picture is that of the source."""

import ast
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import poserep
from poserep.overrides import CONF

ROOT = Path(poserep.__file__).parent


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
