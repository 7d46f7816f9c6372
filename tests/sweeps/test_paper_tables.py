"""The papers' tables as sweeps, read without Hydra: whole, held against rows that run, and with the printed values."""

from pathlib import Path

import numpy as np
import pytest
from paper_tables import read, row

from poserep.files import load_yaml
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


def test_values_are_as_printed():
    printed = load_yaml((Path(__file__).parents[1] / "reference/printed_values.yaml").read_text())
    for table, rows in printed.items():
        for name, due in rows.items():
            found = row(table, name).values
            assert {key: found[key] for key in due} == due, (table, name)
