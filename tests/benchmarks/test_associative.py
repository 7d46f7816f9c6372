"""The benchmark of associative embedding: both sides give the same, and the command says how long they take."""

import sys

import pytest
from associative import JOBS, main


@pytest.mark.parametrize("job", JOBS)
def test_what_the_benchmark_times_gives_what_loops_give(job):
    JOBS[job](1).check()


@pytest.mark.long
def test_associative_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["associative.py"])
    main(["--batch", "1", "--rounds", "2", "--calls", "1", "--only", "5 people, 512x512"])
    printed = capsys.readouterr().out
    assert "maps of 5 people, 512x512" in printed and "tag loss" in printed and "81.8" in printed
