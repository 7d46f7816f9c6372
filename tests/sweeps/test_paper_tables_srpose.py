"""The tables of SRPose as sweeps: published values as printed, rows as its code made them."""

import pytest
from omegaconf import OmegaConf

from poserep.overrides import SWEEPS
from poserep.sweeps.sweep_file import complete_table, compositions
from poserep.sweeps.table import Table

TABLES = {  # rows, and those of them that run
    "table1": (28, 24), "table2": (24, 2), "table3": (4, 4), "table4": (5, 5), "table5": (4, 4), "table6": (3, 3),
    "table7": (9, 4), "table8": (5, 4), "fig6": (4, 4),
}  # fmt: skip


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    return {name: complete_table(f"srpose-{name}") for name in TABLES}


def test_costs_are_those_that_are_counted(tables):
    networks = OmegaConf.load(SWEEPS / "cost.yaml").table.networks
    printed = [n.printed for n in networks if any(t.startswith("srpose") for t in n.printed.tables)]
    assert len(printed) == 23
    for node in printed:
        wanted = {key: float(node[key]) for key in ("params", "backbone", "other", "gflops") if key in node}
        name = node.tables[0].removeprefix("srpose-")
        assert any(wanted.items() <= row.values.items() for row in tables[f"table{name}"].rows), node


@pytest.fixture(scope="module")
def configs(tables):
    """By table and row, what the published mode composes; rows that differ by their readout once."""
    found = {}
    for name in TABLES:
        rows = [row for row in tables[name].runnable if row.readout == "shift"]
        made = compositions(f"srpose-{name}", [list(tables[name].settings(row).values()) for row in rows])
        found |= {(name, row.name): cfg for row, cfg in zip(rows, made, strict=True)}
    return found


def test_published_rows_train_as_the_code_does(configs):
    assert len(configs) == sum(runs for _, runs in TABLES.values()) - 12
    for (_, row), cfg in configs.items():
        schedule = cfg.optim.schedule
        assert (schedule.milestones, cfg.trainer.epochs, cfg.trainer.batch) == ([170, 200], 210, 128)
        former = "HRFormer" in row
        assert (cfg.optim.lr, schedule.warmup_steps, schedule.warmup_factor) == (5e-4, 500, 1e-3)
        assert cfg.optim.optimizer._target_ == f"torch.optim.Adam{'W' if former else ''}"
        assert cfg.optim.optimizer.get("weight_decay") == (0.01 if former else None)
        # Frozen where they are not added, so that nothing decays them.
        assert not former or cfg.backbone.position_bias is False
        assert (cfg.augment.scale, cfg.augment.rotation, cfg.augment.upper_prob) == (0.5, 40, 0.6915)
        assert cfg.backbone.weights and not cfg.data.crop.bgr
        codec = cfg.representation.codec
        assert (cfg.align, codec.flip_shift, codec.score, codec.bounds) == ("corner", 1, "published", "published")
        # SRPose's codec has no half in its criterion unless told.
        assert cfg.representation.name == "srpose" or codec.criterion.factor == 1
        assert cfg.representation.name != "srpose" or (codec.targets, codec.lr_weight) == ("pooled", 1e-4)


def test_persons_of_each_set(configs):
    found = {name: configs[name, row] for name, row in configs}
    half = {name: (cfg.augment.half_body, cfg.augment.half_body_min) for name, cfg in found.items()}
    assert half["table1"] == (0.3, 8) and half["table8"] == (0.3, 6) and half["table7"][0] == 0
    jitter = {name: cfg.augment.jitter_once and cfg.augment.jitter_prob for name, cfg in found.items()}
    assert jitter["table1"] == jitter["table8"] == 0.3 and jitter["table7"] == 0
    boxes = {name: cfg.data.detections for name, cfg in found.items()}
    assert "AP_H_56" in boxes["table1"] and "det_for_crowd" in boxes["table8"] and boxes["table7"] is None


def test_what_ablations_change(configs):
    def rows(table, *keys):
        return [[OmegaConf.select(cfg, key) for key in keys] for (name, _), cfg in configs.items() if name == table]

    codec, head = "representation.codec", "representation.head"
    assert rows("table3", f"{codec}.scale") == [[0.25], [0.5], [1], [2]]
    assert rows("fig6", f"{codec}.mid_stride") == [[8], [4], [2], [1]]
    flags = [[bool(int(f)) for f in text] for text in ("1111", "0111", "0011", "0001")]
    assert rows("table4", f"{codec}.supervise") == [[None], *([f] for f in flags)]
    predictors = rows("table5", f"{head}.side._target_", f"{head}.main._target_", f"{codec}.scale")
    inter, simple, sr = (f"poserep.models.{kind}Predictor" for kind in ("Inter", "Simple", "SR"))
    assert predictors == [[inter, simple, 0.25], [sr, simple, 0.25], [inter, sr, 1], [sr, sr, 1]]
    kernels = rows("table6", f"{head}.side.kernels", f"{head}.main.kernels")
    assert kernels == [[[1] * 4] * 2, [[3] * 4] * 2, [None, None]]
