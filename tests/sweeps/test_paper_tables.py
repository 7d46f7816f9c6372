"""The papers' tables as sweeps, read without Hydra: whole, as printed, and set row by row as the papers' code is."""

from pathlib import Path

import numpy as np
import pytest
from paper_tables import read, row, settings

from poserep.files import load_yaml
from poserep.geometry import Size
from poserep.instances import Instance, Truth
from poserep.metrics.coco import COCO_VALUES
from poserep.metrics.crowdpose import CROWD_VALUES, CROWDING_PARTS
from poserep.metrics.human4d import Human4DError
from poserep.metrics.pckh import PCKh
from poserep.metrics.scorer import Predictions
from poserep.overrides import SWEEPS
from poserep.skeleton import HUMAN4D, MPII
from poserep.sweeps.sweep_file import read_sweep
from poserep.sweeps.table import MODES
from reference.vectors import listed

ROWS, VALUES, SETTINGS = (listed(name) for name in ("printed_rows", "printed_values", "published_settings"))
COUNTS = ROWS["counts"]
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
    for mode in MODES:
        table = read(name, mode)
        settings = {r.name: table.settings(r) for r in table.runnable}
        runs = {tuple(s.values()) for s in settings.values()}
        assert [len(table.rows), len(table.runnable), len(runs)] == COUNTS[name]
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
    for table, rows in VALUES.items():
        for name, due in rows.items():
            found = row(table, name).values
            assert {key: found[key] for key in due} == due, (table, name)


@pytest.mark.parametrize(("mode", "table"), [(mode, name) for mode in MODES for name in SETTINGS[mode]])
def test_rows_are_set_as_their_code_sets_them(mode, table):
    for name, due in SETTINGS[mode][table].items():
        found = settings(read(table, mode), row(table, name))
        found = {key.removeprefix("representation."): load_yaml(value) for key, value in found.items()}
        assert {key: found.get(key, "unset") for key in due} == due, name


def test_the_same_model_has_the_same_values_in_every_table():
    for names in ROWS["same"]:
        first, *others = (row(table, name).values for table, name in names.items())
        assert others and all(values == first for values in others), names


def test_readouts_are_what_rows_say():
    for name in (name for name in COUNTS if name.startswith("sim")):
        for r in read(name).runnable:
            if "heatmap" in r.name and "1D" not in r.name:
                expected = "shift" if "+ shift" in r.name else "dark" if "+ DARK" in r.name else "argmax"
                assert r.readout == expected, (name, r.name)


def test_numbers_that_tables_share_are_the_same():
    def values(name: str, key: str = "AP") -> dict[str, float | None]:
        renamed = {r.name.replace("SimDR*", "SimDR, Gaussian").replace("SimDR", "SimCC"): r for r in read(name).rows}
        return {who: r.values[key] for who, r in renamed.items()}

    main = values("simdr-table2") | values("simcc-table1")
    for name in ("simcc-table1", "simcc-table4", "simdr-table3", "simcc-fig3"):
        shared = values(name).keys() & main.keys()
        assert len(shared) >= 2 and all(values(name)[who] == main[who] for who in shared), name
    assert len(values("simcc-table4").keys() & main.keys()) == 9
    dev, earlier = values("simcc-table2"), values("simdr-table5")
    assert dev.keys() ^ earlier.keys() == {"RLE, W48", "PersonLab, R101", "DEKR, W48 640x640"}
    assert all(dev[who] == earlier[who] for who in dev.keys() & earlier.keys())
    assert read("simcc-fig4").rows == read("simdr-fig3").rows
    assert read("simcc-table6").rows == read("simdr-table7").rows
    assert read("simcc-table7").rows == read("simdr-table8").rows


def test_curves_over_k_have_every_k_in_both_modes():
    for mode in MODES:
        table = read("simcc-fig4", mode)
        keys = ("backbone", "size", "representation.codec.k")
        found = {tuple(settings(table, r)[key] for key in keys) for r in table.runnable}
        sizes, networks = ("64x64", "128x128", "256x192"), ("resnet50", "hrnet_w32")
        assert found == {(n, s, k) for n in networks for s in sizes for k in "1234"}


def test_test_dev_and_latency_tables_say_what_they_are():
    for name in ("simcc-table2", "simdr-table5"):
        table = read(name)
        assert table.data == "coco-test-dev" and read_sweep(SWEEPS, name)["overridden"]["data"] == "coco"
        assert any("data=coco_testdev" in note for note in table.notes)
    speed = load_yaml((SWEEPS / "cost.yaml").read_text())["table"]["speed"]["pairs"]
    assert [r.values["FPS"] for r in read("simdr-table4").rows] == [f for pair in speed for f in pair["printed"]["fps"]]
