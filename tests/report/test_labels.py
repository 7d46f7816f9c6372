"""What runs of one scheme and size are told apart by: rows of a table, or else keys."""

from poserep.report.labels import run_settings, short_setting
from run_records import config


def result(rows=(), suffix="", seed=0, **changes):
    return {"config": {**config(), "seed": seed, **changes}, "rows": rows, "suffix": suffix}


def test_keys_that_differ_without_rows():
    assert run_settings([result(align="edge"), result(align="corner")]) == ["align=edge", "align=corner"]
    assert run_settings([result(seed=0), result(seed=1)]) == ["", ""]


def test_initial_weights_are_told_by_the_name_of_the_run_or_file():
    given = [("runs/a/heatmap-1f", "abc123456789#run"), ("w/net.pth", "def123456789"), ("v/net.pth", "fff123456789")]
    found = run_settings([result(init=init, contents={"init": digest}) for init, digest in given])
    assert found == ["init=heatmap-1f", "init=net.pth (def123)", "init=net.pth (fff123)"]


def test_the_last_part_of_a_key_is_enough_if_that_is_clear():
    assert short_setting("data.crop.padding=1.25, milestones=[1, 2]") == "padding=1.25, milestones=[1, 2]"
    assert short_setting("a.b.sigma=1, a.c.sigma=2") == "a.b.sigma=1, a.c.sigma=2"


def test_rows_name_runs_by_what_readouts_share_and_without_the_size():
    heatmaps = ("W32 64x64, heatmap", "W32 64x64, heatmap + shift")
    found = run_settings([result(heatmaps, align="edge"), result(("W48 64x64, heatmap",), align="corner")])
    assert found == ["W32, heatmap", "W48, heatmap"]


def test_what_follows_rows_tells_modes_apart_and_a_run_that_no_row_asked_for_has_keys():
    assert run_settings([result(("row",), align="edge"), result(align="corner")]) == ["row", "align=corner"]
    found = run_settings([result(("row",), " (published)", align="edge"), result(("row",), " (controlled)")])
    assert found == ["row (published)", "row (controlled)"]


def test_a_name_that_two_kinds_of_runs_would_share_is_none():
    """As those of a row before and after its overrides changed: they are no seeds of each other."""
    found = run_settings([result(("row",), align="edge"), result(("row",), align="corner")])
    assert found == ["align=edge", "align=corner"]
    # What their rows share does not tell them apart, all of their names do.
    first, second = result(("Net, a", "Net, b"), align="edge"), result(("Net, c", "Net, d"), align="corner")
    assert run_settings([first, second]) == ["Net, a | Net, b", "Net, c | Net, d"]
