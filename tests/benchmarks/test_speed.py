"""Timing of SimCC without deconvolutions and of the search for maxima: what commands write, and what they refuse."""

import csv
import sys

import deconvolution_speed
import loading
import page
import pytest
import search_speed
import torch
import yaml

from poserep.codecs.readouts import peak
from poserep.data import load_coco
from poserep.data.synthetic import generate
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.overrides import SWEEPS
from poserep.skeleton import COCO


def test_ratios_are_of_neighbouring_turns():
    assert deconvolution_speed.quartiles([0.2, 0.4, 0.2], [0.1, 0.2, 0.2]) == [1.5, 2, 2]


def test_the_page_of_speed_is_written_from_the_results():
    assert page.PAGE.read_text() == page.page()


def test_loading(tmp_path, capsys):
    root, threads = generate(tmp_path, "hard", train=1, val=4), torch.get_num_threads()
    instances = load_coco(root / "annotations/val.json", root / "images/val", COCO)
    try:
        found = loading.compare(instances, 2, loading.GOALS)
    finally:
        torch.set_num_threads(threads)
    loading.show(found)
    assert [row["way"] for row in found["rows"]] == ["field", "ours", "ours, cached"]
    codes = found["entropy"]
    assert codes["ms"] > 0 and codes["decode_ms"] > 0 and codes["limit_ratio"] > 0
    assert "reading codes takes" in capsys.readouterr().out


def test_deconvolution_speed_command(tmp_path, monkeypatch, capsys):
    sweep = yaml.safe_load((SWEEPS / "cost.yaml").read_text())
    speed = sweep["table"]["speed"]
    sweep["table"] = {"speed": {**speed, "rounds": 2, "calls": 1, "threads": [1], "pairs": speed["pairs"][:1]}}
    (tmp_path / "cost.yaml").write_text(yaml.safe_dump(sweep))
    words = ["deconvolution_speed", "--config-dir", str(tmp_path), f"runs={tmp_path}"]
    monkeypatch.setattr(sys, "argv", words)
    deconvolution_speed.main()
    with (tmp_path / "simdr-table4/simdr-table4.csv").open() as file:
        (timed,) = csv.DictReader(file)
    assert float(timed["ratio"]) > 0 and float(timed["saved_true"]) == pytest.approx(0.25, abs=0.01)
    assert (tmp_path / "simdr-table4/simdr-table4.svg").is_file() and "(34 to 45)" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*words, "table.speed.rounds=1"])
    with pytest.raises(InputError, match="rounds=1"):
        deconvolution_speed.main()


def test_all_searches_find_the_same_or_are_not_timed(monkeypatch):
    maps = search_speed.heatmaps(Size(40, 24), 2, "cpu")
    assert maps.shape[:2] == (2, 17)
    functions = search_speed.searches(maps, [1, 2, 4, 8, 16, 32])
    assert list(functions) == ["rows", "1", "2", "4", "8", "16", "32"]
    assert len({function() for function in functions.values()}) == 1
    monkeypatch.setattr("search_speed.pooled_peak", lambda maps, kernel: peak(maps.roll(kernel, -1)))
    with pytest.raises(InputError, match="kernel 2 finds other maxima"):
        search_speed.searches(search_speed.heatmaps(Size(16, 16), 1, "cpu"), [2])


def test_search_speed_command(tmp_path, monkeypatch, capsys):
    options = ["table.sizes=[32x32]", "table.kernels=[1,4]", "table.rounds=2", "table.calls=1", "table.threads=[1]"]
    monkeypatch.setattr(sys, "argv", ["search_speed", f"runs={tmp_path}", *options])
    before = torch.get_num_threads()
    search_speed.main()
    assert torch.get_num_threads() == before
    lines = (tmp_path / "srpose-fig7" / "srpose-fig7.csv").read_text().splitlines()
    assert lines[0] == "device,threads,size,batch,search,ms,p25,p75,times"
    assert [line.split(",")[1:5] for line in lines[1:]] == [["1", "32x32", "8", s] for s in ("rows", "1", "4")]
    assert "table:" in capsys.readouterr().out


def test_search_speed_refuses():
    table = {"sizes": ["16x16"], "kernels": [1], "batch": 1, "rounds": 2, "calls": 1, "device": "cpu", "threads": [1]}
    for change, message in (
        ({"kernels": [2]}, "must hold 1"),
        ({"kernels": [1, 0]}, "must be whole numbers of bins"),
        ({"rounds": 1}, "rounds=1"),
        ({"device": "tpu"}, "device=tpu"),
    ):
        with pytest.raises(InputError, match=message):
            list(search_speed.measure({**table, **change}))
