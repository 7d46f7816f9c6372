"""The study without training: bounds, numbers computed by hand, disturbances, cells that are found again, bad input."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poserep.cli import ended
from poserep.codecs import Heatmap, SimCC
from poserep.config import compose
from poserep.errors import InputError
from poserep.geometry import ALIGNMENTS, Crop, Size
from poserep.overrides import CONF
from poserep.skeleton import COCO, CROWDPOSE
from poserep.studies.quantisation_error import __main__ as command
from poserep.studies.quantisation_error import cell
from poserep.studies.quantisation_error.cell import best_ap, bound_px, errors_of
from poserep.studies.quantisation_error.disturbance import Condition, decode_poses, disturb
from poserep.studies.quantisation_error.figures import spaced
from poserep.studies.quantisation_error.poses import read_poses
from poserep.studies.quantisation_error.table import NUMBERS, lines_of, read_lines, write_lines
from spoiling import edit

SWEEPS = CONF.parent / "sweeps"
SIZE = Size(64, 64)
PERFECT = Condition("clean")
# One joint, in the middle of four bins in turn.
FOUR = torch.tensor([[8.0, 20.0], [9.0, 20.0], [10.0, 20.0], [11.0, 20.0]])[:, None]
STAY = Crop(torch.eye(2, 3, dtype=torch.float64).expand(4, 2, 3))


@pytest.fixture
def measure(synthetic, tmp_path):
    """Run the table on tiny drawn people: exit status and lines of the CSV file."""

    def go(*overrides: str) -> tuple[int, list[dict[str, Any]]]:
        data = ["data.prepare.train=8", "data.prepare.val=6", f"data.root={synthetic}"]
        data = [] if any(o.startswith("data=") for o in overrides) else data
        failed = command.run_study(SWEEPS, "quantisation", [*data, f"runs={tmp_path}/runs", *overrides])
        return failed, read_lines(tmp_path / "runs/quantisation/table.csv")

    return go


@pytest.fixture
def annotations(synthetic, tmp_path):
    """A copy of the drawn people's annotations that may be spoilt."""
    file = tmp_path / "people.json"
    shutil.copy(next(synthetic.glob("easy-8-6-*")) / "annotations/val.json", file)
    return file


def of(file: Path) -> list[str]:
    return ["data=coco", f"data.root={file.parent}", f"data.val.annotations={file.name}", "size=64x64"]


def test_every_row_stays_within_the_bound_of_its_bins(measure):
    failed, lines = measure("table.cross=[]", "input_size=64x48")
    assert not failed and {line["align"] for line in lines} == set(ALIGNMENTS)
    for line in lines:
        # Means over maps that the crop cuts, and steps to a second maximum, may leave the bin.
        if line["readout"] in ("argmax", "shift", "dark") and "bound_px" in line:
            assert line["max_px"] <= line["bound_px"] + 1e-3, line
        assert 0 <= line["AP"] <= 100
    points = [line for line in lines if line["representation"] == "Regression"]
    assert points and all(line["max_px"] < 1e-3 and "bound_px" not in line for line in points)


@pytest.mark.parametrize(
    ("quantise", "signed"),
    # Bins 1.625, 1.875, 2.125, 2.375 of stride 4, whose middles are 5.5, 9.5 and 13.5 px.
    [("round", (1.5, 0.5, -0.5, -1.5)), ("floor", (-2.5, -3.5, -0.5, -1.5)), ("ceil", (1.5, 0.5, 3.5, 2.5))],
)
def test_errors_equal_those_computed_by_hand(quantise, signed):
    codec = Heatmap("64x48", stride=4, sigma=1, quantise=quantise)
    (found,) = decode_poses(codec, FOUR, torch.ones(4, 1), PERFECT, torch.tensor([0])).values()
    assert (found.points.xy - FOUR)[:, 0, 0].tolist() == pytest.approx(signed)
    told = errors_of(found, FOUR, STAY, FOUR)
    # y = 20 is bin 4.625 and comes back as 5, 4 or 5, that is 1.5 px below, 2.5 px above, 1.5 px below.
    dy = {"round": 1.5, "floor": -2.5, "ceil": 1.5}[quantise]
    assert told["bias_x_px"] == pytest.approx(np.mean(signed)) and told["bias_y_px"] == pytest.approx(dy)
    assert told["mean_px"] == pytest.approx((np.abs(signed).mean() + abs(dy)) / 2)
    assert told["mean_image_px"] == pytest.approx(np.hypot(signed, dy).mean())
    assert told["max_px"] == pytest.approx(max(*np.abs(signed), abs(dy))) and told["joints"] == 4


def test_bounds_are_those_of_the_papers():
    assert bound_px(Heatmap("256x192", stride=4)) == 2
    assert bound_px(Heatmap("256x192", stride=4, quantise="floor")) == 4
    assert bound_px(SimCC("256x192", k=2)) == 0.25
    # Bins of the corner alignment stop 3.5 px short of the last pixel's end.
    assert bound_px(Heatmap("256x192", stride=4, align="corner")) == 3.5


def test_a_second_peak_is_that_of_the_mirror_image_joint():
    codec = Heatmap("64x64", sigma=1)
    xy = torch.tensor([[[9.5, 9.5], [41.5, 9.5], [25.5, 41.5]]])
    target, _ = codec.encode(xy, torch.ones(1, 3))
    perm = torch.tensor([1, 0, 2])
    changed = disturb(codec, target, Condition("second", second=0.8), perm, torch.Generator())
    assert torch.allclose(changed[0, 0], target[0, 0] + 0.8 * target[0, 1])
    assert torch.allclose(changed[0, 1], target[0, 1] + 0.8 * target[0, 0])
    assert torch.equal(changed[0, 2], target[0, 2])
    (found,) = decode_poses(codec, xy, torch.tensor([[1.0, 0, 1]]), Condition("second", second=0.8), perm).values()
    # Neither a joint without mirror image nor one whose mirror image is unlabelled has a second peak.
    assert not found.counted.any() and found.usable.tolist() == [[True, False, True]]


def test_noise_is_relative_to_the_peak_and_repeatable():
    codec = SimCC("64x64", k=2)
    target, _ = codec.encode(torch.full((2, 3, 2), 30.0), torch.ones(2, 3))
    noise = Condition("noise", noise=0.1)

    def noisy():
        return disturb(codec, target, noise, torch.arange(3), torch.Generator().manual_seed(0))

    x, y = noisy()
    assert torch.equal(x, noisy()[0]) and not torch.equal(x, y)
    assert (x >= 0).all()
    near = target[0] > 0.5 * target[0].amax()
    assert ((x - target[0])[near] / target[0].amax()).std() == pytest.approx(0.1, rel=0.4)


def ap_of(poses, *scores):
    """AP that fine bins leave, by the least factor of scores."""
    codec, crop = SimCC("64x64", k=4), poses.crops(SIZE, "centre")
    perm = poses.skeleton.flip_perm()
    (decoded,) = decode_poses(codec, crop.to_input(poses.xy), poses.weight, PERFECT, perm).values()
    return [best_ap(poses, crop, SIZE, codec, decoded, least) for least in scores]


def test_scores_rank_and_do_nothing_else(annotations):
    poses = read_poses(annotations, COCO, "annotation", False)
    assert ap_of(poses, 1.0, 0.5) == pytest.approx([100, 100])


def test_finished_cells_are_found_again(measure, monkeypatch, tmp_path, annotations):
    first = measure(*of(annotations), "representation=simcc_onehot")
    moved = annotations.rename(annotations.with_name("moved.json"))
    monkeypatch.setattr(cell, "decode_poses", lambda *_: pytest.fail("measured again"))
    assert measure(*of(moved), "representation=simcc_onehot") == first
    monkeypatch.undo()
    before = set((tmp_path / "runs/quantisation").glob("*/result.json"))
    measure(*of(moved), "representation=simcc_onehot", "table.conditions.ranked.scores=0.7")
    assert len(set((tmp_path / "runs/quantisation").glob("*/result.json")) - before) == 1


def test_every_pattern_of_the_sources_names_files():
    assert all(list((Path(cell.__file__).parents[2]).glob(pattern)) for pattern in cell.SOURCE)


def test_conditions_without_a_density_are_left_out(measure, capsys):
    # IPR's target holds a position beside its density, SRPose's maps of several resolutions.
    failed, lines = measure("size=256x192", "align=centre", "representation=regression,simcc_onehot,ipr,srpose")
    assert not failed and "not for Regression, whose target is no density" in capsys.readouterr().out
    conditions: dict[str, set[str]] = {}
    for line in lines:
        conditions.setdefault(line["representation"], set()).add(line["condition"])
    assert conditions.pop("Regression") == {"clean", "ranked"}
    assert len(conditions) == 3 and all(len(found) == 5 for found in conditions.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("area"), "6 of 6 annotations, .* have no area.*table.area=box"),
        (lambda a: a.update(bbox=[5, 5, 0, 9]), "box without area.*data.skip_invalid=true"),
        (lambda a: a.update(keypoints=[1, 1, 2]), "3 keypoint numbers.*needs 3 for each of its 17"),
    ],
)
def test_bad_annotations_are_refused(measure, annotations, capsys, change, message):
    edit(annotations, lambda data: [change(a) for a in data["annotations"]])
    with pytest.raises(InputError, match="nothing could be measured"):
        measure(*of(annotations), "representation=simcc_onehot,regression")
    told = capsys.readouterr().err
    assert str(annotations) in told and "and 1 more" in told and re.search(message, told)
    if "no area" in message:
        failed, lines = measure(*of(annotations), "representation=simcc_onehot", "table.area=box")
        assert not failed and lines[0]["area"] == "box" and lines[0]["AP"] > 99


def test_files_without_keypoints_or_with_others_are_refused(annotations):
    with pytest.raises(InputError, match=r"people.json: its keypoints are not those of skeleton 'crowdpose'"):
        read_poses(annotations, CROWDPOSE, "annotation", False)
    edit(annotations, lambda data: data["categories"][0].pop("keypoints"))
    with pytest.raises(InputError, match=r"people.json: category 'person' \(1\) does not name its joints"):
        read_poses(annotations, COCO, "annotation", True)
    with pytest.raises(InputError, match=r"table.area='mask' is not one of"):
        read_poses(annotations, COCO, "mask", True)


def test_a_cell_that_fails_costs_no_other(measure, capsys):
    rows = "table.rows=[{overrides: ['representation=simcc', 'representation.codec.k=0.5']}, {overrides: [A]}]"
    failed, lines = measure("size=64x64", rows.replace("A", "'representation=simcc'"))
    assert failed == 1 and {line["representation"] for line in lines} == {"SimCC Gaussian"}
    assert "k=0.5 must be a number of at least 1" in capsys.readouterr().err


def test_the_command_line_crosses_and_chooses_rows():
    table = compose([], "quantisation", SWEEPS).cfg.table
    everything = command.jobs(table, [])
    assert len(everything) == 5 * len(table.rows) and len({tuple(job) for job in everything}) == len(everything)
    chosen = command.jobs(table, ["representation=sr,srpose", "size=64x64,96x96", "align=centre"])
    named = [o for job in chosen for o in job if o.startswith("representation=")]
    assert named == ["representation=sr"] * 4 + ["representation=srpose"] * 2
    assert all("align=centre" in job and not {"align=edge", "align=corner", "align=dark"} & set(job) for job in chosen)


def test_tables_are_read_back_as_they_were_written(annotations, tmp_path):
    conditions = "+table.conditions={rough: {noise: 0.3}}"
    rows = ["representation=heatmap", "align=centre,edge", "size=64x64", conditions]
    assert command.run_study(SWEEPS, "quantisation", [*of(annotations), f"runs={tmp_path}/runs", *rows]) == 0
    entries = [
        {"title": "Heatmap", "label": f"Heatmap, cell={i}", **json.loads(path.read_text())}
        for i, path in enumerate(sorted((tmp_path / "runs/quantisation").glob("*/result.json")))
    ]
    written = lines_of(entries)
    write_lines(tmp_path / "table.csv", written)
    found = read_lines(tmp_path / "table.csv")
    assert len(found) == len(written) and {row["condition"] for row in found} == {"clean", "ranked", "rough"}
    for row, was in zip(found, written, strict=True):
        assert {"real", *row} == {key for key, value in was.items() if value is not None}
        assert row == {key: pytest.approx(was[key], rel=1e-4) if key in NUMBERS else was[key] for key in row}
    assert found[0]["title"] == "Heatmap" and isinstance(found[0]["joints"], int)


def test_committed_numbers_are_read_and_others_refused(tmp_path):
    found = read_lines(CONF.parent / "results/quantisation.csv")
    assert {row["condition"] for row in found if row["disturbed"]} == {"noise 0.1", "noise 0.3", "second peak"}
    assert {"Heatmap", "Heatmap, unbiased", "SimCC Gaussian", "SR head"} <= {row["title"] for row in found}
    (tmp_path / "other.csv").write_text("representation,size\nHeatmap,64x64\n")
    with pytest.raises(InputError, match=r"other\.csv is no table of the quantisation study: it has no column align, "):
        read_lines(tmp_path / "other.csv")


def test_labels_of_figures_keep_their_distance_and_order():
    wanted = np.array([1.0, 0.0, 1.01, 1.02, 5.0])
    found = spaced(wanted, 0.3)
    assert (np.argsort(found) == np.argsort(wanted)).all() and np.diff(np.sort(found)).min() >= 0.3 - 1e-9
    assert found[[1, 4]].tolist() == pytest.approx([0, 5])


def test_command_line(synthetic, tmp_path, monkeypatch, capsys):
    rows = "table.rows=[{overrides: ['representation=heatmap']}, {overrides: ['representation=simcc']}]"
    words = [rows, "size=256x192", "data.prepare.train=8", "data.prepare.val=6", f"data.root={synthetic}"]
    words += [f"runs={tmp_path}"]
    monkeypatch.setattr("sys.argv", ["quantisation_error", "--config-dir", str(SWEEPS), *words])
    assert ended(command.main) == 0
    printed = capsys.readouterr().out
    assert "Disturbed outputs at 256x192" in printed and "drawn people" in printed
    folder = tmp_path / "quantisation"
    figures = {f"{name}.{kind}" for name in ("error", "ap", "robustness") for kind in ("svg", "png")}
    assert {p.name for p in folder.iterdir() if p.is_file()} == {"table.csv", *figures}
    monkeypatch.setattr("sys.argv", ["quantisation_error", "--config-dir", str(SWEEPS), *words, "table.area=none"])
    assert ended(command.main) == 2 and "error: nothing could be measured" in capsys.readouterr().err


@pytest.mark.real
def test_real_poses_have_the_errors_of_uniform_positions(coco_subset, measure):
    changes = {"simcc": ("k=1", "k=4"), "heatmap": ("quantise=round", "quantise=floor")}
    pairs = [(codec, f"representation.codec.{change}") for codec, both in changes.items() for change in both]
    rows = ", ".join(f"{{overrides: ['representation={codec}', '{change}']}}" for codec, change in pairs)
    words = ["align=centre", f"table.rows=[{rows}]", "~table.conditions.ranked"]
    failed, lines = measure(*of(coco_subset), *words)
    assert not failed
    by = {(x["representation"], x["readout"]): x for x in lines if x["condition"] == "clean"}
    # Positions are spread evenly within bins, so that the mean error is half the bound.
    for k in (1, 4):
        line = by[f"SimCC Gaussian, k={k}", "argmax"]
        assert line["mean_px"] == pytest.approx(1 / (4 * k), rel=0.02) and line["AP"] > 99.5
    nearest, lower = (by[f"Heatmap, quantise={way}", "argmax"] for way in ("round", "floor"))
    assert nearest["mean_px"] == pytest.approx(1, rel=0.02) and lower["bias_x_px"] == pytest.approx(-2, rel=0.02)
    assert lower["AP"] < nearest["AP"] < 70
    assert {x["persons"] for x in lines} == {1354}


@pytest.mark.real
def test_crowdpose_takes_areas_of_boxes(real_data):
    file = real_data / "crowdpose/crowdpose_val.json"
    with pytest.raises(InputError, match=r"table.area=box"):
        read_poses(file, CROWDPOSE, "annotation", False)
    assert ap_of(read_poses(file, CROWDPOSE, "box", False), 1.0) > [99]
