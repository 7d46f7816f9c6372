"""The house: which part of the package may import which other, read from the syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

import poserep

ROOT = Path(poserep.__file__).parent
VOCABULARY = {"batch", "cli", "config", "drawing", "errors", "files", "geometry", "instances", "overrides", "skeleton"}
CORE = {"codecs", "models", "data", "metrics"}
# From the bottom up: what each part imports beside itself.
ALLOWED = {
    **{part: {"errors", "geometry", "overrides", "skeleton"} for part in VOCABULARY},
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


def test_wandb_is_imported_late():
    for module, tree in FILES.items():
        eager = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not any("wandb" in name.split(".")[0] for node in eager for name in imported(node)), module
