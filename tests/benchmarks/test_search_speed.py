"""Timing of the search for maxima: all find the same joints, what the command writes, and what it refuses."""

import sys

import pytest
import search_speed
import torch

from poserep.codecs.readouts import peak
from poserep.errors import InputError
from poserep.geometry import Size


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernels": [2]}, "must hold 1"),
        ({"kernels": [1, 0]}, "must be whole numbers of bins"),
        ({"rounds": 1}, "rounds=1"),
        ({"device": "tpu"}, "device=tpu"),
    ],
)
def test_search_speed_refuses(change, message):
    table = {"sizes": ["16x16"], "kernels": [1], "batch": 1, "rounds": 2, "calls": 1, "device": "cpu", "threads": [1]}
    with pytest.raises(InputError, match=message):
        list(search_speed.measure({**table, **change}))
