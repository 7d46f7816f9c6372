"""AP by score: every rule is another evaluation of one run, and what it takes is made once."""

import csv

import pytest

from poserep.errors import InputError
from poserep.overrides import SWEEPS
from poserep.runs.plan import Cell, remember
from poserep.studies import score_rules


def test_rules_are_evaluations_of_the_same_run(trained, monkeypatch, tmp_path, capsys):
    run_dir, _ = trained("representation=heatmap")
    remember(tmp_path / "scores", run_dir.name, Cell((), ("Heatmap, quarter shift",), mode="controlled"))
    (tmp_path / "scores" / run_dir.name).symlink_to(run_dir)
    seen, made = [], []

    def evaluated(path, cfg):
        codec = cfg.representation.codec
        seen.append(
            (codec.get("score"), codec.score_threshold, cfg.checkpoint, cfg.data.metric._target_.split(".")[-1])
        )
        return {"metrics": {"gt": {"shift": {"AP": 10.0 * len(seen)}}}}

    def make(name):
        def kept(path, cfg):
            assert cfg.representation.codec.score_threshold == 0 and cfg.checkpoint == "last" and not cfg.flip_test
            assert list(cfg.readouts) == ["shift"]
            made.append(name)

        return kept

    monkeypatch.setattr(score_rules, "reevaluate", evaluated)
    for name in ("calibrate", "learn_scores"):
        monkeypatch.setattr(score_rules, name, make(name))
    score_rules.show_scores(SWEEPS, "scores", [f"runs={tmp_path}", "flip_test=false"])
    assert made == ["calibrate", "learn_scores"]
    assert seen == [
        ("published", 0.2, "last", "CocoAP"),
        ("published", 0, "last", "CocoAP"),
        (None, 0, "last", "CocoAP"),
        (None, 0, "calibrated", "CocoAP"),
        (None, 0, "learnt", "CocoAP"),
        (None, 0, "last", "OracleScoredAP"),
    ]
    with (tmp_path / "scores/scores.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row == {"row": "Heatmap, quarter shift", "readout": "shift", "seeds": "1"} | {
        rule: f"{10 * n}.0" for n, rule in enumerate(score_rules.RULES, 1)
    }
    assert "AP by score: The ladder by its scores" in capsys.readouterr().out


def test_a_table_without_runs_is_refused(tmp_path):
    for name in ("scores", "cost"):
        with pytest.raises(InputError, match=f"no finished run .*poserep sweep run {name}"):
            score_rules.show_scores(SWEEPS, name, [f"runs={tmp_path}"])
