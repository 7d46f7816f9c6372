"""Runs keep the crops of their worst persons: those of the stored predictions, on every kind of set."""

import numpy as np
import pytest

from poserep.report.compare.stored import read_side, rebuild
from poserep.training.build import build
from poserep.training.evaluate import configure as reconfigure
from poserep.training.samples import save_worst

SETS = {"mpii": [], "human4d": ["augment=none", "flip_test=false", "input_size=80x160"]}


def load(run_dir, name: str) -> dict[str, np.ndarray]:
    with np.load(run_dir / name) as file:
        return dict(file)


def test_a_run_keeps_the_worst_of_its_predictions(trained):
    run_dir, result = trained("representation=heatmap")
    worst, samples = load(run_dir, "worst.npz"), load(run_dir, "samples.npz")
    apart = ("bins/", "density/")
    assert set(worst) - set(samples) == {"oks", "error", "joint", "kind", "kinds"}
    assert {key for key in samples if key not in worst and not key.startswith(apart)} == set()
    assert (np.diff(worst["oks"]) >= 0).all() and len(worst["index"]) == 6
    # On this set both hold everybody, so that the crops and what was read from them are the same.
    order = np.searchsorted(samples["index"], worst["index"])
    np.testing.assert_array_equal(worst["image"], samples["image"][order])
    for key in ("xy", "weight", "shift/xy", "shift/score", "argmax/xy"):
        np.testing.assert_allclose(worst[key], samples[key][order], atol=2e-3)
    # With similarities as evaluation has them.
    recorded = result["errors"]["gt"]["shift"]["joints"].values()
    total = sum(joint["labelled"] * (joint["mean_oks"] or 0) for joint in recorded)
    np.testing.assert_allclose((worst["oks"] * (worst["kind"] >= 0).sum(1)).sum(), total, rtol=1e-6)


def test_it_is_the_same_from_the_stored_predictions(trained, tmp_path):
    run_dir, _ = trained("representation=simcc")
    scorer, predictions = rebuild(read_side(str(run_dir), "gt")[0])
    assert len(scorer.truth.instances) == 6
    objects = build(reconfigure(run_dir, []), train=False)
    save_worst(objects, {"argmax": predictions}, tmp_path / "again.npz")
    again = load(tmp_path, "again.npz")
    for key, value in load(run_dir, "worst.npz").items():
        np.testing.assert_array_equal(value, again[key])
    # There is no file where nobody is labelled, or without predictions on annotated boxes.
    save_worst(objects, {}, tmp_path / "none.npz")
    objects.module.scorers["gt"].truth.instances.weight[:] = 0
    save_worst(objects, {"argmax": predictions}, tmp_path / "none.npz")
    assert not (tmp_path / "none.npz").exists()


@pytest.mark.parametrize("name", SETS)
def test_sets_with_other_measures_have_worst_persons_too(run, tiny_sets, name):
    run_dir, _ = run(f"data={name}", f"data.root={tiny_sets[name]}", *SETS[name])
    worst = load(run_dir, "worst.npz")
    assert (worst["oks"] >= 0).all() and (worst["oks"] <= 1).all() and (worst["kind"].max(1) >= 0).all()
