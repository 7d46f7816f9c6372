"""Sweep files, read with those that they include; their rows, and the runs that they ask for."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from poserep.errors import InputError
from poserep.overrides import key_of, quoted
from poserep.runs.plan import Cell, forget, planned, remember
from poserep.sweeps import command
from poserep.sweeps.sweep_file import read_sweep, table_of, title_of
from poserep.sweeps.table import cells_of, chosen, read_table

RECIPES = {"paper": ["base", "optim.lr=1e-3"], "base": ["align=corner", "trainer.epochs=210", "optim.lr=1"]}


def table(*rows, **more):
    return read_table({"title": "T", "rows": list(rows), "recipes": RECIPES, **more})


def overrides(found):
    return [cell.overrides for cell in found]


def test_recipes_are_lists_of_lists_and_the_row_wins():
    row = {"name": "a", "overrides": ["size=64x64", "align=edge"], "published": ["paper", "+codec.flip_shift=1"]}
    made = table(row)
    settings = {key_of(o): o for o in ("align=edge", "trainer.epochs=210", "optim.lr=1e-3", "size=64x64")}
    assert made.settings(made.rows[0]) == settings | {"codec.flip_shift": "+codec.flip_shift=1"}
    assert key_of("a.b={x:1,y=2}") == "a.b"
    # The controlled mode takes the table's recipe in place of the paper's.
    row = {"name": "a", "overrides": ["size=64x64"], "published": ["paper"], "controlled": ["k=2"]}
    made = table(row, mode="controlled", controlled=["align=centre"])
    assert list(made.settings(made.rows[0]).values()) == ["align=centre", "k=2", "size=64x64"]


def test_a_key_on_the_command_line_replaces_the_rows_and_a_group_all_that_is_in_it():
    made = table({"name": "a", "overrides": ["data.root=x", "data=coco"], "published": ["base"]})
    (cell,) = cells_of(made, ["data=synthetic", "trainer=smoke"])
    assert cell.overrides == ("align=corner", "optim.lr=1", "data=synthetic", "trainer=smoke")
    assert cell.arguments == ("data=synthetic", "trainer=smoke")
    (cell,) = cells_of(made, ["trainer.batch=4"])
    assert "trainer.epochs=210" in cell.overrides, "a key of a group is not the group"


def test_sweeps_of_the_command_line_replace_those_of_the_table():
    made = table({"name": "a"}, {"name": "b", "overrides": ["align=edge"]}, arguments=["seed=0,1"])
    assert len(cells_of(made)) == 4
    found = cells_of(made, ["seed=5"])
    assert overrides(found) == [("seed=5",), ("align=edge", "seed=5")]
    assert found[0].arguments == (), "another seed is no other setting"


def test_rows_that_become_equal_run_once_and_quoted_ones_not_at_all():
    rows = [{"name": n, "overrides": ["size=64x64"], "readout": n} for n in ("argmax", "shift")]
    assert cells_of(table(*rows)) == [Cell(("size=64x64",), ("argmax", "shift"))]
    rows = [{"name": "a", "overrides": ["size=1"]}, {"name": "b", "overrides": ["size=2"]}]
    (cell,) = cells_of(table(*rows), ["size=3"])
    assert cell.overrides == ("size=3",) and cell.rows == ("a", "b")
    made = table({"name": "a", "quoted": "elsewhere", "values": {"AP": 1.0}}, {"name": "b"})
    assert [row.name for row in made.runnable] == ["b"] and len(cells_of(made)) == 1


def test_mistakes_in_a_file_are_named():
    for row, more, message in (
        ({"name": "a", "overides": []}, {}, "row 1 of table.rows has no key 'overides'; did you mean overrides"),
        ({"name": "a", "published": ["papr"]}, {}, "no recipe 'papr' in table.recipes; did you mean paper"),
        ({"name": "a", "against": "c"}, {}, "row 'a' is against 'c', which is not a row; there are a"),
        ({"name": "a"}, {"mode": "other"}, "no table.mode 'other'; there are published, controlled"),
        ({"name": "a"}, {"colums": []}, "table has no key 'colums'; did you mean columns"),
        ({}, {"rows": [{"name": "a"}, {"name": "a"}]}, "two rows have the name 'a'"),
    ):
        with pytest.raises(InputError, match=message):
            cells_of(table(row, **more))


def test_what_a_run_stands_for_is_added_up(tmp_path):
    remember(tmp_path, "run", Cell(("x=1",), ("a",)))
    remember(tmp_path, "run", Cell(("x=1",), ("b", "a")))
    remember(tmp_path, "run", Cell(("x=1",), ("a",), ("data=synthetic",), "controlled"))
    (found,) = planned(tmp_path)
    assert found.name == "run" and found.overrides == ("x=1",)
    published, controlled = ((u.mode, u.rows, u.arguments) for u in found.uses)
    assert published == ("published", ("a", "b"), ()) and controlled == ("controlled", ("a",), ("data=synthetic",))


def test_a_run_that_other_files_renamed_is_wanted_no_more(tmp_path):
    wanted = Cell(("x=1",), ("a",))
    for name, cell in (("before", wanted), ("other", Cell(("x=2",), ("b",))), ("after", wanted)):
        remember(tmp_path, name, cell)
    forget(tmp_path, {"after": wanted})
    assert [found.name for found in planned(tmp_path)] == ["after", "other"]
    (tmp_path / "after").mkdir()
    (tmp_path / "after" / "result.json").write_text("{}")
    remember(tmp_path, "again", wanted)
    forget(tmp_path, {"again": wanted})
    assert [found.name for found in planned(tmp_path)] == ["after", "again", "other"], "what has finished counts"


def test_rows_are_chosen_by_name_or_pattern():
    names = ["SimCC, k = 2", "SimCC's own [32]", "Heatmap"]
    rows = [{"name": name} for name in names]
    table = read_table({"title": "Some", "rows": [*rows, {"name": "Mask R-CNN", "quoted": "there"}]})
    assert chosen(table, []) == set(names)
    assert chosen(table, ["SimCC*"]) == set(names[:2])
    for name in names:
        (override,) = OverridesParser.create().parse_overrides([f"rows=[{quoted(name)}]"])
        assert chosen(table, override.value()) == {name}, "as the command line hands it on"
    with pytest.raises(InputError, match="no row 'heatmap' that can run; there are 3, among them 'Heatmap'"):
        chosen(table, ["heatmap"])
    with pytest.raises(InputError, match="no row 'Mask R-CNN' that can run"):
        chosen(table, ["Mask R-CNN"])


def test_what_is_no_table_of_runs_is_not_trained():
    for name in ("srpose-fig7", "cost", "simdr-table4"):
        with pytest.raises(InputError, match=f"no row of sweeps/{name}.yaml is a run; make reproduce-{name} does"):
            command.run([name])


def test_included_files_are_merged(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "defaults: [config, {override hydra/sweeper: rows}, _self_]\nx: {y: 1, z: 2}\n"
        "table: {title: A, data: coco, rows: [{name: r, overrides: [b=1]}]}\n"
    )
    (tmp_path / "b.yaml").write_text("defaults: [a, _self_]\nx: {y: 3}\ntable: {title: B}\n")
    found = read_sweep(tmp_path, "b")
    assert found["x"] == {"y": 3, "z": 2} and title_of(tmp_path, "b") == "B" and title_of(tmp_path, "none") == "none"
    assert table_of(tmp_path, "b").data == "coco" and table_of(tmp_path, "none") is None
    (tmp_path / "a.yaml").write_text("defaults: [b, _self_]\n")
    with pytest.raises(InputError, match="includes itself: b -> a -> b"):
        read_sweep(tmp_path, "b")
    (tmp_path / "c.yaml").write_text("table: {title: a: b}\n")
    with pytest.raises(InputError, match="is not YAML"):
        read_sweep(tmp_path, "c")
