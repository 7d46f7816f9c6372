"""Benchmarks of evaluation and of prediction at toy size: both sides agree, and each row says what it measured."""

import evaluation
import predict
import pytest
import validation


def test_evaluation(capsys, monkeypatch):
    # The threads of other tests stay as they are.
    monkeypatch.setattr(evaluation, "one_thread", lambda: None)
    # Another process would have to import all.
    monkeypatch.setattr(evaluation, "extra_memory", lambda *_: None)
    found = evaluation.measure(40, 5, 4, 2)
    evaluation.show(found)
    assert [row["job"] for row in found["rows"]] == [
        "match, records loaded",
        "match",
        "ten numbers",
        "4 resamples of AP",
        "4 resamples of all ten",
    ]
    assert found["detections"] == 200 and 0 < found["persons"] < 100
    assert "pycocotools, once" in capsys.readouterr().out


@pytest.mark.long
def test_prediction():
    rows = predict.measure(3, 2)
    assert [row["job"] for row in rows] == [
        f"{model}, {run}" for model in predict.MODELS for run in ("PyTorch", "ONNX Runtime")
    ]
    assert all(row["people"] > 3 and row["ratio"] > 0 for row in rows)


@pytest.mark.long
def test_validation(capsys):
    words = ["--backbone", "resnet18", "--size", "64x64", "--persons", "8", "--batch", "4", "--rounds", "2"]
    rows = validation.main([*words, "--representations", "heatmap", "simcc"])
    assert [(row["representation"], row["matcher"]) for row in rows] == [
        (name, matcher) for name in ("heatmap", "simcc") for matcher in validation.MATCHERS
    ]
    assert all(0 < row["share"] < 1 and row["beyond_ms"]["median"] > 0 for row in rows)
    assert "is not the network" in capsys.readouterr().out
