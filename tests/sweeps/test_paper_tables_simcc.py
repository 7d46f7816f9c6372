"""The tables of SimCC and SimDR as sweeps: what the papers print, and what their code did row by row. No Hydra."""

import pytest
import yaml
from paper_tables import read, row, settings

from poserep.overrides import SWEEPS
from poserep.sweeps.sweep_file import read_sweep

TABLES = (
    *(f"simcc-table{i}" for i in range(1, 8)),
    *(f"simdr-table{i}" for i in (2, 3, 5, 6, 7, 8)),
    *("simcc-fig3", "simcc-fig4", "simdr-fig3"),
)
CODEC = "representation.codec"
LOSS = f"{CODEC}.criterion.reduction"
SUM, MEAN = {LOSS: "sum"}, {LOSS: "mean"}
K, E, SIGMA, ABOVE = (f"{CODEC}.{key}" for key in ("k", "label.smoothing", "label.sigma", "score_threshold"))


def test_readouts_are_what_rows_say():
    for name in TABLES:
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
    equal = row("simcc-table5", "SimBa-R50 384x288, equal smoothing")
    assert equal.values == row("simdr-table6", "SimBa-R50 384x288, SimDR").values
    assert read("simcc-fig4").rows == read("simdr-fig3").rows
    assert read("simcc-table6").rows == read("simdr-table7").rows
    assert read("simcc-table7").rows == read("simdr-table8").rows


# What the code's configurations say of rows: bins a px, loss, label, score above which joints count.
CODE = [
    ("simdr-table2", "HRNet-W32 64x64, SimDR", {K: "3", **SUM, ABOVE: "0.02"}),
    ("simdr-table2", "HRNet-W32 128x128, SimDR", {K: "2", **SUM, E: "0.2", ABOVE: "0.02"}),
    ("simdr-table2", "HRNet-W32 256x192, SimDR", {K: "2", **SUM, ABOVE: "0.01"}),
    ("simcc-table1", "HRNet-W48 64x64, SimCC", {K: "3", **SUM, ABOVE: "0.02"}),
    ("simcc-table1", "HRNet-W48 128x128, SimCC", {K: "2", **SUM, ABOVE: "0.02"}),
    ("simcc-table1", "HRNet-W48 256x192, SimCC", {K: "2", **SUM, ABOVE: "0.01"}),
    ("simdr-table3", "HRNet-W48 256x192, SimDR*", {**MEAN, SIGMA: "4", ABOVE: "0.01"}),
    ("simdr-table3", "HRNet-W48 384x288, SimDR*", {K: "1.5", **MEAN, SIGMA: "4", ABOVE: "0.005"}),
    ("simdr-table3", "HRNet-W48 384x288, SimDR", {K: "1.5", **SUM, ABOVE: "0.01"}),
    ("simdr-table2", "SimBa-R50 64x64, SimDR", {K: "3", **SUM, ABOVE: "0.02"}),
    ("simdr-table2", "SimBa-R50 128x128, SimDR", {K: "3", **SUM, ABOVE: "0.02"}),
    ("simdr-table2", "SimBa-R50 256x192, SimDR", {K: "2", **SUM, ABOVE: "0.01"}),
    ("simdr-table6", "SimBa-R50 384x288, SimDR", {K: "2", **SUM, ABOVE: "0.01"}),
    ("simcc-table5", "SimBa-R50 384x288, Gaussian smoothing", {**MEAN, SIGMA: "6", ABOVE: "0.005"}),
    ("simdr-table2", "SimBa-R101 64x64, SimDR", {K: "3", **SUM, ABOVE: "0.02"}),
    ("simdr-table2", "SimBa-R101 128x128, SimDR", {K: "2", **SUM, E: "0.2", ABOVE: "0.02"}),
    ("simdr-table2", "SimBa-R101 256x192, SimDR", {K: "2", **SUM, E: "0.4", ABOVE: "0.01"}),
    ("simdr-table6", "SimBa-R101 384x288, SimDR", {K: "2", **MEAN, ABOVE: "0.01"}),
    ("simdr-table6", "SimBa-R152 384x288, SimDR", {K: "2", **MEAN, ABOVE: "0.01"}),
    ("simcc-table4", "SimBa-R50 64x64, SimCC, no deconv", {K: "3", **SUM, ABOVE: "0.02"}),
    ("simcc-table1", "SimBa-R50 128x128, SimCC, no deconv", {K: "3", **SUM, ABOVE: "0.02"}),
    ("simcc-table1", "SimBa-R50 256x192, SimCC, no deconv", {K: "2", **SUM, ABOVE: "0.01"}),
    ("simcc-table3", "SimBa-R50 256x256, SimCC, no deconv", {K: "2", **SUM, ABOVE: "0.01"}),
    ("simcc-table7", "HRNet-W32 64x64, SimCC", {K: "3", **MEAN, E: "0.2"}),
    ("simcc-table7", "HRNet-W32 256x256, SimCC", {K: "2", **MEAN, E: "0.2"}),
    ("simcc-table7", "HRNet-W32 256x256, SimCC, Gaussian", {K: "2", **MEAN, SIGMA: "6"}),
]


@pytest.mark.parametrize(("table", "name", "code"), CODE)
def test_published_rows_follow_the_code(table, name, code):
    made = settings(read(table), row(table, name))
    usual = {K: "2"} if SIGMA in code else {K: "2", E: "0.1"}
    assert {key: made[key] for key in (K, LOSS, E, SIGMA, ABOVE) if key in made} == {**usual, **code}
    resnet = "SimBa" in name
    free = "no deconv" in name
    maps = {"64x64": "32", "128x128": "32"}.get(made["size"], "28") if free else None
    assert made.get("representation.head.channels_per_joint") == maps
    assert made.get("data.crop.bgr") == ("true" if resnet else None)
    assert made["optim.schedule.milestones"] == ("[89,119]" if resnet else "[169,199]")
    assert (made["trainer.epochs"], made["trainer.batch"]) == ("140" if resnet else "210", "128")
    assert made.get(f"{CODEC}.label.renormalise") == ("false" if SIGMA in code else None)


def test_released_models_are_made_as_their_authors_did():
    for table, name, milestones, batch in (
        ("simcc-table1", "HRNet-W48 256x192, heatmap + shift", "[170,200]", "128"),
        ("simdr-table3", "HRNet-W48 384x288, heatmap + shift", "[170,200]", "96"),
        ("simcc-table7", "HRNet-W32 256x256, heatmap + shift", "[170,200]", "128"),
        ("simdr-table6", "SimBa-R152 384x288, heatmap + shift", "[90,120]", "128"),
        ("simcc-table1", "HRNet-W48 64x64, heatmap + shift", "[169,199]", "128"),
        ("simcc-table1", "SimBa-R50 128x128, heatmap + shift", "[89,119]", "128"),
        ("simcc-table1", "TokenPose-S 256x192, heatmap + DARK", "[200,260]", "128"),
    ):
        made = settings(read(table), row(table, name))
        assert (made["optim.schedule.milestones"], made["trainer.batch"]) == (milestones, batch), name
        # LRs are stated for the batch that they are used with.
        assert made["optim.lr"] == "1e-3" and made.get("optim.reference_batch", "128") == batch


def test_curves_over_k_have_every_k_in_both_modes():
    for mode in ("published", "controlled"):
        table = read("simcc-fig4", mode)
        found = {tuple(settings(table, r)[key] for key in ("backbone", "size", K)) for r in table.runnable}
        sizes, networks = ("64x64", "128x128", "256x192"), ("resnet50", "hrnet_w32")
        assert found == {(n, s, k) for n in networks for s in sizes for k in "1234"}


def test_test_dev_and_latency_tables_say_what_they_are():
    for name in ("simcc-table2", "simdr-table5"):
        table = read(name)
        assert table.data == "coco-test-dev" and read_sweep(SWEEPS, name)["overridden"]["data"] == "coco"
        assert any("data=coco_testdev" in note for note in table.notes)
        assert all(bool(r.quoted) != bool(r.overrides) for r in table.rows)
    speed = yaml.safe_load((SWEEPS / "cost.yaml").read_text())["table"]["speed"]["pairs"]
    assert [r.values["FPS"] for r in read("simdr-table4").rows] == [f for pair in speed for f in pair["printed"]["fps"]]
