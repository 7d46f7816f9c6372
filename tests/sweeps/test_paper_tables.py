"""The papers' tables as sweeps, read without Hydra: whole, held against rows that run, and with the printed values."""

from pathlib import Path

import numpy as np
import pytest
from paper_tables import read, row

from poserep.geometry import Size
from poserep.instances import Instance, Truth
from poserep.metrics.coco import COCO_VALUES
from poserep.metrics.crowdpose import CROWD_VALUES, CROWDING_PARTS
from poserep.metrics.human4d import Human4DError
from poserep.metrics.pckh import PCKh
from poserep.metrics.scorer import Predictions
from poserep.skeleton import HUMAN4D, MPII

# Rows, rows that are run, runs that these share.
COUNTS = {
    "dark-table1": (3, 3, 1), "dark-table2": (2, 2, 1), "dark-table3": (4, 4, 2), "dark-table4": (6, 6, 6),
    "dark-table5": (14, 14, 14), "dark-table6": (3, 3, 3), "dark-table7": (14, 3, 3), "dark-table8": (2, 2, 2),
    "repro-table2": (16, 16, 4), "repro-table3": (2, 2, 1),
    "simcc-table1": (27, 27, 18), "simcc-table2": (29, 3, 3), "simcc-table3": (4, 4, 3), "simcc-table4": (9, 9, 9),
    "simcc-table5": (4, 4, 4), "simcc-table6": (4, 4, 4), "simcc-table7": (5, 5, 5), "simcc-fig3": (24, 24, 24),
    "simcc-fig4": (24, 24, 24),
    "simdr-table2": (45, 45, 30), "simdr-table3": (6, 6, 6), "simdr-table4": (6, 0, 0), "simdr-table5": (30, 3, 3),
    "simdr-table6": (6, 6, 6), "simdr-table7": (4, 4, 4), "simdr-table8": (5, 5, 5), "simdr-fig3": (24, 24, 24),
    "srpose-table1": (28, 24, 12), "srpose-table2": (24, 2, 2), "srpose-table3": (4, 4, 4), "srpose-table4": (5, 5, 5),
    "srpose-table5": (4, 4, 4), "srpose-table6": (3, 3, 3), "srpose-table7": (9, 4, 4), "srpose-table8": (5, 4, 4),
    "srpose-fig6": (4, 4, 4),
}  # fmt: skip
PAPERS = {
    "dark": "DARK (Zhang et al., 2020)",
    "repro": "The reproduction study of DARK on HUMAN4D",
    "simcc": "SimCC (Li et al., 2022)",
    "simdr": "SimDR (Li et al., 2021)",
    "srpose": "SRPose (Wang et al., 2023)",
}


def measured(kind, skeleton) -> set[str]:
    """The names of a scorer's values."""
    k = skeleton.num_keypoints
    xy = np.stack([np.arange(k), np.arange(k) ** 2], -1).astype(np.float32)
    one = Instance(Path("a.png"), 1, 1, np.array([0.0, 0, 64, 64]), xy, np.ones(k, np.float32), head=10.0)
    scorer = kind(Truth([one], skeleton, "annotations", Size(64, 64)))
    return set(scorer(Predictions(np.arange(1), xy[None], np.ones((1, k)))).values)


@pytest.fixture(scope="module")
def columns() -> dict[str, set[str]]:
    """What results call their values, by data set."""
    coco = set(COCO_VALUES)
    return {"coco": coco, "coco-test-dev": coco, "crowdpose": {*CROWD_VALUES, *CROWDING_PARTS}, "": {"FPS"},
            "mpii": measured(PCKh, MPII), "human4d": measured(Human4DError, HUMAN4D)}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_tables_are_whole(name, columns):
    table, (paper, where) = read(name), name.split("-")
    assert table.paper == f"{PAPERS[paper]}, {where.replace('table', 'table ').replace('fig', 'figure ')}"
    assert set(table.columns) <= columns[table.data]
    for r in table.rows:
        assert set(table.columns) <= set(r.values), r.name
        assert bool(r.quoted) != bool(r.overrides) or not table.runnable, r.name
        assert r.undetermined or paper == "srpose" or any(value is not None for value in r.values.values()), r.name
        # Some have GFLOPs beside these.
        assert all(r.values[key] is None or 0 < r.values[key] < 100 for key in table.columns), r.name


@pytest.mark.parametrize("name", COUNTS)
def test_as_many_rows_as_printed_are_held_against_others_that_run_and_no_run_is_made_twice(name):
    for mode in ("published", "controlled"):
        table = read(name, mode)
        settings = {r.name: table.settings(r) for r in table.runnable}
        runs = {tuple(s.values()) for s in settings.values()}
        assert (len(table.rows), len(table.runnable), len(runs)) == COUNTS[name]
        for r in table.rows:
            assert r.against is None or (r.against in settings and r.against != r.name)
        if not name.startswith("sim"):
            continue
        # These compare representations on one network, at one size.
        for r in table.runnable:
            assert {"backbone", "representation", "size"} <= settings[r.name].keys()
            if r.against is not None:
                mine, other = settings[r.name], settings[r.against]
                assert [mine[key] for key in ("backbone", "size")] == [other[key] for key in ("backbone", "size")]
                assert next(o for o in table.runnable if o.name == r.against).against is None


CODE = ("PCKh-0.1 (code)", "PCKh-0.5 (code)", "RMSE (code)")
PRINTED = {
    "dark-table1": {
        "No shifting (argmax)": {"AP": 61.2, "AP50": 88.1, "AR": 68.7},
        "DARK": {"AP": 68.4, "AP75": 77.4, "AP_L": 74.0},
    },
    "dark-table2": {"Without modulation": {"AP": 68.1, "AP75": 77.1, "AR": 74.8}},
    "dark-table3": {
        "Unbiased, standard shifting": {"AP": 68.0, "AP_M": 65.4, "AR": 74.5},
        "Unbiased, DARK": {"AP": 70.7, "AP_L": 76.6, "AR": 76.7},
    },
    "dark-table4": {
        "HRNet-W32 256x192": {"AP": 74.4, "AP_M": 70.8, "AR": 79.8},
        "HRNet-W32 384x288, DARK": {"AP": 76.6, "AP50": 90.7, "AP_L": 83.9},
    },
    "dark-table5": {
        "Hourglass, 4 stacks": {"AP": 66.2, "AP_L": 71.4},
        "Hourglass, 8 stacks, DARK": {"AP": 70.8, "AR": 76.6},
        "SimpleBaseline-R101": {"AP": 58.8, "AP75": 66.1},
        "SimpleBaseline-R152, DARK": {"AP": 63.1, "AP_M": 61.3},
        "HRNet-W48, DARK": {"AP": 71.9, "AP50": 89.1, "AP75": 79.6},
    },
    "dark-table6": {"DSNT": {"AP": 57.6, "AP50": 83.5, "AR": 71.2}, "IPR": {"AP": 68.0, "AP_L": 73.8}},
    "dark-table7": {
        "HRNet-W32 128x96, DARK": {"AP": 70.0, "AP50": 90.9, "AR": 75.9},
        "HRNet-W48 384x288, DARK": {"AP": 76.2, "AP_L": 82.4},
        "CFN": {"AP": 72.6, "AR": None},
    },
    "dark-table8": {
        "HRNet-W32": {"Wrist@0.5": 86.5, "PCKh@0.5": 90.3, "Head@0.11": 51.1, "PCKh@0.11": 37.7},
        "HRNet-W32, DARK": {"Elbow@0.5": 91.2, "PCKh@0.5": 90.6, "Ankle@0.11": 35.4},
    },
    "repro-table2": {
        "SH_4S, with quantisation, argmax": dict(zip(CODE, (35.38, 68.14, 4.12), strict=True)),
        "SH_4S, without quantisation, DARK": dict(zip(CODE, (45.17, 71.65, 3.47), strict=True)),
        "HRNet_4S, with quantisation, centre of mass": dict(zip(CODE, (33.95, 68.38, 3.94), strict=True)),
        "HRNet_4S, without quantisation, standard": dict(zip(CODE, (40.5, 68.9, 3.79), strict=True)),
    },
    "simcc-table1": {
        "TokenPose-S 128x128, SimCC": {"AP": 70.4, "AR": 76.4},
        "SimBa-R50 64x64, SimCC, no deconv": {"AP": 39.3, "AR": 48.4},
        "HRNet-W48 64x64, heatmap": {"AP": 36.9, "AR": 47.8},
    },
    "simdr-table2": {
        "SimBa-R50 64x64, SimDR": {"AP": 40.8, "AR": 49.6},
        "SimBa-R101 256x192, heatmap + shift": {"AP": 71.4, "AR": 77.1},
        "HRNet-W32 256x192, SimDR": {"AP": 75.3, "AR": 80.8},
    },
    "simcc-table2": {"RLE, W48": {"AP": 75.7, "AP_L": 81.3, "AR": None}},
    "simdr-table5": {
        "DEKR, W48 640x640": {"AP": 72.3, "AR": 77.7},
        "HRNet-W48 384x288, SimDR, Gaussian": {"AP": 76.0, "AP75": 83.5, "AR": 81.1},
    },
    "simcc-table3": {"SimBa-R50 256x256, 1D heatmap": {"AP": 68.5}},
    "simcc-table4": {"SimBa-R50 256x192, SimCC, no deconv": {"AP": 70.8}},
    "simcc-table5": {"SimBa-R50 384x288, Laplace smoothing": {"AP": 73.0, "AP_M": 69.3, "AR": 78.4}},
    "simdr-table3": {"HRNet-W48 384x288, SimDR": {"AP": 69.9, "AP50": 84.7, "AR": 78.1}},
    "simdr-table4": {"SimBa-R50 64x64, SimDR, no deconv": {"FPS": 45}},
    "simdr-table6": {"SimBa-R152 384x288, SimDR": {"AP": 74.9, "AP75": 81.5, "AR": 80.4}},
    "simdr-table7": {"HRNet-W32 64x64, SimCC": {"AP": 46.5, "AP_E": 56.0, "AP_H": 34.7}},
    "simdr-table8": {"HRNet-W32 64x64, SimCC": {"Head@0.5": 93.5, "PCKh@0.5": 78.7, "Ankle@0.1": 12.8}},
    "simcc-table7": {"HRNet-W32 256x256, heatmap + shift": {"Wrist@0.5": 86.4, "Hip@0.1": 15.1, "PCKh@0.1": 33.1}},
    "srpose-table1": {
        "ResNet-50, Simple": {"AP": 71.7, "AR": 77.3, "gflops": 5.46, "backbone": 23.51, "other": 10.49},
        "HRNet-W32, SR head, w/o post": {"AP": 75.4, "AR": 80.5},
        "TransPose-R-A4, SRPose": {"AP": 73.5, "AR": 78.9, "gflops": 6.26, "backbone": 4.93, "other": 0.55},
        "HRFormer-S, SRPose, w/o post": {"AP": 75.5, "AR": 80.6},
        "Bottom-up ResNet-50, SR head": {"AP": 48.4, "AR": 56.6, "gflops": 30.86, "backbone": 23.51, "other": 10.6},
    },
    "srpose-table2": {
        "SRPose, HRFormer-B 384x288": {"AP": 76.9, "AR": 81.8, "gflops": 30.4},
        "HRNet-W32 512x512, bottom-up": {"AP": 64.1, "AR": None, "gflops": 38.9},
        "TFPose": {"AP": 72.2, "AR": None, "gflops": 20.4},
    },
    "srpose-table3": {"k = 2": {"AP": 73.2, "AR": 78.6, "params": 25.06, "gflops": 5.43}},
    "srpose-table4": {"SRPose, M2": {"AP": 72.6, "AR": 78.1}},
    "srpose-table5": {"Inter, SR": {"AP": 72.8, "AR": 78.3, "params": 24.8}},
    "srpose-table6": {"kernels 3-3-3-3": {"AP": 73.1, "AR": 78.6, "params": 24.72}},
    "srpose-table7": {"SRPose, HRNet-W32": {"PCKh@0.5": 90.5}},
    "srpose-table8": {"SRPose, ResNet-50": {"AP": 64.7, "AP_E": 74.9, "AP_M": 65.8, "AP_H": 52.3}},
    "srpose-fig6": {"H/2": {"AP": None, "AR": None}},
}  # fmt: skip


def test_values_are_as_printed():
    for table, rows in PRINTED.items():
        for name, due in rows.items():
            found = row(table, name).values
            assert {key: found[key] for key in due} == due, (table, name)
