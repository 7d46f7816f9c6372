"""Runs keep the crops of their worst persons: those of the stored predictions, on every kind of set."""

import numpy as np
import pytest
import torch

from layouts import generate_human4d, generate_mpii
from poserep.metrics import Predictions
from poserep.report.compare.stored import read_side, rebuild
from poserep.training.build import build
from poserep.training.samples import save_worst

SETS = {
    "mpii": (lambda root: generate_mpii(root, train=6, val=6), []),
    "human4d": (
        lambda root: generate_human4d(root, frames=2),
        ["augment=none", "flip_test=false", "input_size=80x160"],
    ),
}


def load(run_dir, name: str) -> dict[str, np.ndarray]:
    with np.load(run_dir / name) as file:
        return dict(file)


def test_a_run_keeps_the_worst_of_its_predictions(run, configure):
    run_dir, result = run()
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


def test_it_is_the_same_from_the_stored_predictions(run, configure, tmp_path):
    run_dir, _ = run("representation=simcc")
    first = (run_dir / "worst.npz").read_bytes()
    metric, predictions = rebuild(read_side(str(run_dir), "gt")[0])
    objects = build(configure("representation=simcc"), train=False)
    objects.module.boxes = ["gt"]
    for readout in objects.module.metrics_of("gt").values():
        readout.found = predictions
    save_worst(objects, tmp_path / "again.npz")
    again = load(tmp_path, "again.npz")
    for key, value in load(run_dir, "worst.npz").items():
        np.testing.assert_array_equal(value, again[key])
    assert first == (run_dir / "worst.npz").read_bytes() and len(metric.instances) == 6


@pytest.mark.parametrize("name", SETS)
def test_sets_with_other_measures_have_worst_persons_too(run, tmp_path, name):
    generate, words = SETS[name]
    run_dir, _ = run(f"data={name}", f"data.root={generate(tmp_path / name)}", *words)
    worst = load(run_dir, "worst.npz")
    assert (worst["oks"] >= 0).all() and (worst["oks"] <= 1).all() and (worst["kind"].max(1) >= 0).all()


def test_there_is_no_file_where_nobody_is_labelled_or_only_a_detector_looks(configure, tmp_path):
    objects = build(configure(), train=False)
    path = tmp_path / "worst.npz"
    objects.module.boxes = ["det"]
    save_worst(objects, path)
    objects.module.boxes = ["gt"]
    for metric in objects.module.metrics_of("gt").values():
        metric.instances.weight[:] = 0
        count = len(metric.instances)
        joints = objects.skeleton.num_keypoints
        metric.found = Predictions(np.arange(count), np.zeros((count, joints, 2)), torch.ones(count, joints).numpy())
    save_worst(objects, path)
    assert not path.exists()
