"""The picture of the packages is that of the source."""

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_picture_is_current(tmp_path):
    subprocess.run([sys.executable, DOCS / "draw_architecture.py", tmp_path / "now.svg"], check=True)
    same = (tmp_path / "now.svg").read_bytes() == (DOCS / "architecture.svg").read_bytes()
    assert same, "docs/architecture.svg is not current: run python docs/draw_architecture.py"
