"""Speed of the parser beside loops: what is timed, and what is not."""

import grouping
import pytest
import torch


def test_both_sides_find_the_same_people_or_are_not_timed(monkeypatch, capsys):
    scenes = grouping.Scenes(images=2, side=32, people=2, sigma=1.0)
    rows = grouping.compare(rounds=2, calls=1, only=[scenes])
    for row in rows:
        assert row["people"] >= 2 and row["ratio"] > 0 and row["met"] == (row["ratio"] >= grouping.GOAL)
    assert [row["rules"] for row in rows] == ["exact", "published"]
    grouping.show(rows)
    assert "32x32" in capsys.readouterr().out
    monkeypatch.setattr(grouping, "parse", lambda heat, *_, **__: ([torch.zeros(17, 2)], [torch.ones(17)], [1.0]))
    with pytest.raises(SystemExit, match="find other people"):
        grouping.compare(rounds=2, calls=1, only=[scenes])
