"""Sweep files read with those that they include."""

import pytest

from poserep.errors import InputError
from poserep.sweeps.sweep_file import read_sweep, table_of, title_of


def test_included_files_are_merged(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "defaults: [config, {override hydra/sweeper: rows}, _self_]\nx: {y: 1, z: 2}\n"
        "table: {title: A, data: coco, rows: [{name: r, overrides: [b=1]}]}\n"
    )
    (tmp_path / "b.yaml").write_text("defaults: [a, _self_]\nx: {y: 3}\ntable: {title: B}\n")
    found = read_sweep(tmp_path, "b")
    assert found["x"] == {"y": 3, "z": 2} and title_of(tmp_path, "b") == "B" and title_of(tmp_path, "none") == "none"
    assert table_of(tmp_path, "b").data == "coco" and table_of(tmp_path, "none") is None
    (tmp_path / "a.yaml").write_text("defaults: [b, _self_]\n")
    with pytest.raises(InputError, match="includes itself: b -> a -> b"):
        read_sweep(tmp_path, "b")
    (tmp_path / "c.yaml").write_text("table: {title: a: b}\n")
    with pytest.raises(InputError, match="is not YAML"):
        read_sweep(tmp_path, "c")
