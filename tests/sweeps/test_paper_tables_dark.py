"""The tables of DARK and of its reproduction study: what was printed, and how their code made it."""

from pathlib import Path

import numpy as np
import pytest
from paper_tables import node, printed, read, row, settings

from poserep.geometry import Size
from poserep.instances import Instance, Truth
from poserep.metrics.coco import COCO_VALUES
from poserep.metrics.human4d import Human4DError
from poserep.metrics.pckh import PCKh
from poserep.metrics.scorer import Predictions
from poserep.skeleton import HUMAN4D, MPII

KERNEL = "representation.codec.readouts.dark.kernel"
# Rows, and distinct runs.
COUNTS = {
    "dark-table1": (3, 1),
    "dark-table2": (2, 1),
    "dark-table3": (4, 2),
    "dark-table4": (6, 6),
    "dark-table5": (14, 14),
    "dark-table6": (3, 3),
    "dark-table7": (14, 3),
    "dark-table8": (2, 2),
    "repro-table2": (16, 4),
    "repro-table3": (2, 1),
}
every_table = pytest.mark.parametrize("name", COUNTS)


def settings_of(name: str, title: str, mode: str = "published") -> dict[str, str]:
    return settings(read(name, mode), row(name, title))


@every_table
@pytest.mark.parametrize("mode", ["published", "controlled"])
def test_as_many_rows_as_printed_and_no_run_twice(name, mode):
    found = read(name, mode)
    runs = {tuple(found.settings(r).values()) for r in found.runnable}
    assert (len(found.rows), len(runs)) == COUNTS[name]
    assert node(name)["study"] == name


@every_table
def test_rows_have_every_column_and_either_settings_or_a_source(name):
    found = read(name)
    for r in found.rows:
        assert tuple(r.values) == found.columns
        assert bool(r.quoted) != bool(r.overrides)
        # Percentages, and px.
        assert all(value is None or 1 < value < 100 for value in r.values.values())


@every_table
def test_rows_are_held_against_others_that_run(name):
    found = read(name)
    against = {r.name: r.against for r in found.rows if r.against}
    assert against and set(against.values()) <= {r.name for r in found.runnable}
    assert all(mine != other for mine, other in against.items())


def measured(kind, skeleton) -> set[str]:
    k = skeleton.num_keypoints
    xy = np.stack([np.arange(k), np.arange(k) ** 2], -1).astype(np.float32)
    one = Instance(Path("a.png"), 1, 1, np.array([0.0, 0, 64, 64]), xy, np.ones(k, np.float32), head=10.0)
    scorer = kind(Truth([one], skeleton, "annotations", Size(64, 64)))
    return set(scorer(Predictions(np.arange(1), xy[None], np.ones((1, k)))).values)


@every_table
def test_columns_are_what_results_call_them(name):
    known = {"mpii": lambda: measured(PCKh, MPII), "human4d": lambda: measured(Human4DError, HUMAN4D)}
    assert set(read(name).columns) <= known.get(read(name).data, lambda: set(COCO_VALUES))()


CODE = ("PCKh-0.1 (code)", "PCKh-0.5 (code)", "RMSE (code)")
VALUES = [
    ("dark-table1", "No shifting (argmax)", {"AP": 61.2, "AP50": 88.1, "AR": 68.7}),
    ("dark-table1", "DARK", {"AP": 68.4, "AP75": 77.4, "AP_L": 74.0}),
    ("dark-table2", "Without modulation", {"AP": 68.1, "AP75": 77.1, "AR": 74.8}),
    ("dark-table3", "Unbiased, standard shifting", {"AP": 68.0, "AP_M": 65.4, "AR": 74.5}),
    ("dark-table3", "Unbiased, DARK", {"AP": 70.7, "AP_L": 76.6, "AR": 76.7}),
    ("dark-table4", "HRNet-W32 256x192", {"AP": 74.4, "AP_M": 70.8, "AR": 79.8}),
    ("dark-table4", "HRNet-W32 384x288, DARK", {"AP": 76.6, "AP50": 90.7, "AP_L": 83.9}),
    ("dark-table5", "Hourglass, 4 stacks", {"AP": 66.2, "AP_L": 71.4}),
    ("dark-table5", "Hourglass, 8 stacks, DARK", {"AP": 70.8, "AR": 76.6}),
    ("dark-table5", "SimpleBaseline-R101", {"AP": 58.8, "AP75": 66.1}),
    ("dark-table5", "SimpleBaseline-R152, DARK", {"AP": 63.1, "AP_M": 61.3}),
    ("dark-table5", "HRNet-W48, DARK", {"AP": 71.9, "AP50": 89.1, "AP75": 79.6}),
    ("dark-table6", "DSNT", {"AP": 57.6, "AP50": 83.5, "AR": 71.2}),
    ("dark-table6", "IPR", {"AP": 68.0, "AP_L": 73.8}),
    ("dark-table7", "HRNet-W32 128x96, DARK", {"AP": 70.0, "AP50": 90.9, "AR": 75.9}),
    ("dark-table7", "HRNet-W48 384x288, DARK", {"AP": 76.2, "AP_L": 82.4}),
    ("dark-table7", "CFN", {"AP": 72.6, "AR": None}),
    ("dark-table8", "HRNet-W32", {"Wrist@0.5": 86.5, "PCKh@0.5": 90.3, "Head@0.11": 51.1, "PCKh@0.11": 37.7}),
    ("dark-table8", "HRNet-W32, DARK", {"Elbow@0.5": 91.2, "PCKh@0.5": 90.6, "Ankle@0.11": 35.4}),
    ("repro-table2", "SH_4S, with quantisation, argmax", dict(zip(CODE, (35.38, 68.14, 4.12), strict=True))),
    ("repro-table2", "SH_4S, without quantisation, DARK", dict(zip(CODE, (45.17, 71.65, 3.47), strict=True))),
    (
        "repro-table2",
        "HRNet_4S, with quantisation, centre of mass",
        dict(zip(CODE, (33.95, 68.38, 3.94), strict=True)),
    ),
    ("repro-table2", "HRNet_4S, without quantisation, standard", dict(zip(CODE, (40.5, 68.9, 3.79), strict=True))),
]


def test_values_are_as_printed():
    printed(VALUES)


def test_the_same_model_has_the_same_values_in_every_table():
    plain, dark = row("dark-table1", "Standard shifting").values, row("dark-table3", "Unbiased, DARK").values
    assert (
        plain == row("dark-table3", "Biased, standard shifting").values == row("dark-table4", "HRNet-W32 128x96").values
    )
    assert plain == row("dark-table5", "HRNet-W32").values
    assert dark == row("dark-table4", "HRNet-W32 128x96, DARK").values == row("dark-table6", "DARK").values
    assert dark == row("dark-table5", "HRNet-W32, DARK").values
    for mine, study in (("Centre of mass", "centre of mass"), ("DARK", "DARK")):
        assert row("repro-table3", mine).values == row("repro-table2", f"SH_4S, without quantisation, {study}").values


@pytest.mark.parametrize(
    ("name", "title", "expected"),
    [
        ("dark-table1", "DARK", {"align": "corner", "augment.upper_prob": "0.6915", "trainer.epochs": "210"}),
        ("dark-table4", "HRNet-W32 384x288, DARK", {"align": "dark", "data.clip": "dark", "trainer.batch": "112"}),
        ("dark-table5", "Hourglass, 4 stacks, DARK", {"optim.lr": "2.5e-4", "trainer.batch": "8", KERNEL: "11",
            "data.crop.bgr": "true", "optim.schedule.milestones": "[90,120]", "optim.reference_batch": "8"}),
        ("dark-table5", "Hourglass, 8 stacks, DARK", {"representation.codec.sigma": "2.0", "trainer.epochs": "140"}),
        ("dark-table5", "HRNet-W48, DARK", {KERNEL: "11", "align": "dark", "augment": "dark"}),
        ("dark-table7", "HRNet-W48 384x288, DARK", {"trainer.batch": "72", "optim.reference_batch": "72"}),
        ("dark-table8", "HRNet-W32", {"augment": "mpii", "representation.codec.flip_shift": "1"}),
        ("repro-table2", "SH_4S, with quantisation, DARK", {"trainer.batch": "24",
            "representation.codec.quantise": "ceil", "representation.codec.grid": "px", "seed": "1314",
            "representation.codec.readouts.dark.sigma": "1"}),
        ("repro-table2", "HRNet_4S, without quantisation, DARK", {"trainer.batch": "16", "trainer.epochs": "30",
            "representation.codec.quantise": "none", "optim.lr": "2e-3", "flip_test": "false", "augment": "none"}),
    ],
)  # fmt: skip
def test_published_settings(name, title, expected):
    found = settings_of(name, title)
    assert {key: found[key] for key in expected} == expected


@every_table
def test_the_controlled_mode_has_one_recipe_and_no_quirks(name):
    found = read(name, "controlled")
    all_settings = [settings_of(name, r.name, "controlled") for r in found.runnable]
    same = ("align", "augment", "optim.lr", "optim.schedule.milestones", "trainer.batch", "trainer.epochs", "seed")
    for key in same:
        assert len({s.get(key) for s in all_settings}) == 1, key
    for s in all_settings:
        assert s["align"] == "centre"
        assert not {
            "representation.codec.flip_shift",
            "representation.codec.score",
            KERNEL,
        } & set(s)
        assert s.get("data.crop.bgr") is None and s.get("data.clip", "exact") == "exact"
    # No detections where the data have none.
    assert all(("data.detections" in s) == (found.data not in ("mpii", "human4d")) for s in all_settings)


def test_quantisation_is_of_whole_bins_where_recipes_are_ours():
    found = {
        kind: settings_of("repro-table2", f"SH_4S, {kind} quantisation, DARK", "controlled")
        for kind in ("with", "without")
    }
    assert (
        found["with"]["representation.codec.quantise"] == "round" and "representation.codec.grid" not in found["with"]
    )
    assert found["without"]["representation.codec.quantise"] == "none"
