"""The tables of SRPose as sweeps, composed: rows as its code made them, and costs as they are counted."""

import pytest
from omegaconf import OmegaConf
from paper_tables import read

from poserep.overrides import SWEEPS
from poserep.sweeps.sweep_file import compositions, table_names
from reference.vectors import listed

SETTINGS = listed("srpose_settings")


@pytest.fixture(scope="module")
def configs():
    """By table and row, what the published mode composes; rows that differ by their readout once."""
    found = {}
    for name in (name for name in table_names() if name.startswith("srpose")):
        rows = [row for row in read(name).runnable if row.readout == "shift"]
        made = compositions(name, [list(read(name).settings(row).values()) for row in rows])
        found |= {(name, row.name): cfg for row, cfg in zip(rows, made, strict=True)}
    return found


def test_costs_are_those_that_are_counted():
    networks = OmegaConf.load(SWEEPS / "cost.yaml").table.networks
    printed = [n.printed for n in networks if any(t.startswith("srpose") for t in n.printed.tables)]
    assert len(printed) == 23
    for node in printed:
        wanted = {key: float(node[key]) for key in ("params", "backbone", "other", "gflops") if key in node}
        rows = read(node.tables[0].replace("-", "-table")).rows
        assert any(wanted.items() <= row.values.items() for row in rows), node


def test_published_rows_train_as_the_code_does(configs):
    assert len(configs) == 42, "a row for each run"
    for (table, row), cfg in configs.items():
        backbone = "HRFormer" if "HRFormer" in row else "other backbones"
        representation = "srpose" if cfg.representation.name == "srpose" else "other representations"
        for part in ("every row", backbone, representation, table):
            for place, due in SETTINGS.get(part, {}).items():
                found = OmegaConf.select(cfg, place)
                found = {key: found.get(key) for key in due} if isinstance(due, dict) else found
                assert found == due, (table, row, part, place)
        assert cfg.backbone.weights


def test_what_ablations_change(configs):
    for table, compared in SETTINGS["compared"].items():
        for key, due in compared.items():
            assert [OmegaConf.select(cfg, key) for (name, _), cfg in configs.items() if name == table] == due, key
