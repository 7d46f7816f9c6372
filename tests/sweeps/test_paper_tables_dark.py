"""The tables of DARK and of its reproduction study: what was printed, and how their code made it."""

import pytest
from paper_tables import read, row, settings

KERNEL = "representation.codec.readouts.dark.kernel"


def settings_of(name: str, title: str, mode: str = "published") -> dict[str, str]:
    return settings(read(name, mode), row(name, title))


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


def test_quantisation_is_of_whole_bins_where_recipes_are_ours():
    found = {
        kind: settings_of("repro-table2", f"SH_4S, {kind} quantisation, DARK", "controlled")
        for kind in ("with", "without")
    }
    assert (
        found["with"]["representation.codec.quantise"] == "round" and "representation.codec.grid" not in found["with"]
    )
    assert found["without"]["representation.codec.quantise"] == "none"
