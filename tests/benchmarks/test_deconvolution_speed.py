"""Timing of SimCC without deconvolutions: ratios by hand, what the command writes, and what it refuses."""

import csv
import sys

import deconvolution_speed
import pytest
import yaml

from poserep.errors import InputError
from poserep.overrides import SWEEPS


def test_ratios_are_of_neighbouring_turns():
    assert deconvolution_speed.quartiles([0.2, 0.4, 0.2], [0.1, 0.2, 0.2]) == [1.5, 2, 2]


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
