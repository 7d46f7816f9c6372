"""MPII's persons and PCKh against the official code of HRNet, SimCC, DarkPose, mmpose and pytorch-pose."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from poserep.data.loaders.mpii import load_mpii
from poserep.errors import InputError
from poserep.geometry import Size, box_to_region
from poserep.instances import Instance, Truth
from poserep.metrics.pckh import GROUPS, PCKh
from poserep.metrics.scorer import Predictions
from poserep.skeleton import MPII
from reference.vectors import arrays, full

SQUARE = Size(256, 256)
PCKH = full("mpii_pckh")


def published(v: dict[str, np.ndarray], rows: np.ndarray) -> list[dict]:
    names = {"center": "ann_center", "scale": "ann_scale", "joints": "ann_joints", "joints_vis": "ann_vis"}
    return [{"image": f"{i}.jpg", **{key: v[name][i].tolist() for key, name in names.items()}} for i in rows]


@pytest.mark.parametrize("file", full("geom_mpii_db"))
def test_persons_are_the_official_ones(file, tmp_path):
    v = arrays(file)
    # The official code forgets shift and padding for a centre of x = -1, which means that there is none.
    rows = np.flatnonzero(v["ann_center"][:, 0] != -1)
    assert len(rows) == 63
    path = tmp_path / "valid.json"
    path.write_text(json.dumps(published(v, rows)))
    persons = load_mpii(path, tmp_path, MPII)
    centre, extent = box_to_region(np.stack([p.box for p in persons]), SQUARE, "centre", 1.25)
    np.testing.assert_allclose(centre, v["center"][rows], rtol=0, atol=1e-9)
    np.testing.assert_allclose(extent, v["scale"][rows] * 200, rtol=1e-12)
    labelled = v["joints_vis"][rows, :, 0] > 0
    np.testing.assert_array_equal(np.stack([p.weight for p in persons]) > 0, labelled)
    joints = np.stack([p.keypoints for p in persons])
    np.testing.assert_array_equal(joints[labelled], v["joints"][rows, :, :2][labelled].astype(np.float32))
    assert (joints[~labelled] == 0).all()
    for row in np.flatnonzero(v["ann_center"][:, 0] == -1):
        path.write_text(json.dumps(published(v, np.array([row]))))
        with pytest.raises(InputError, match=r"record 0 .*has the center \[-1\.0.*which is none"):
            load_mpii(path, tmp_path, MPII)


def scored(v: dict[str, np.ndarray], name: str, strict: bool = False, single: bool = False) -> dict[str, float]:
    """In 0-based coordinates of double precision, or 1-based ones of single precision as in the official code."""
    truth, shown = v[f"{name}_gt"].transpose(2, 0, 1), v[f"{name}_missing"].T == 0
    boxes, xy = v[f"{name}_headboxes"], v[f"{name}_preds"]
    head = 0.6 * np.linalg.norm(boxes[1] - boxes[0], axis=0)
    box = np.array([0.0, 0.0, 9.0, 9.0])
    xy, truth = (xy.astype(np.float32) + np.float32(1), truth) if single else (xy, truth - 1)
    persons = [
        Instance(Path(f"{i}.jpg"), i, i, box, truth[i].astype(np.float32), shown[i].astype(np.float32), head=head[i])
        for i in range(len(xy))
    ]
    subject = PCKh(Truth(persons, MPII, "valid.json", SQUARE), strict=strict)
    return subject(Predictions(np.arange(len(xy)), xy, np.ones(xy.shape[:2]))).values


def row(values: dict[str, float], last: str) -> list[float]:
    return [*(values[f"{group}@0.5"] for group in GROUPS), values["PCKh@0.5"], values[last]]


@pytest.mark.parametrize("file", PCKH)
def test_pckh_is_the_official_one(file):
    v = arrays(file)
    for name in "ABG":
        for code, options, last in (
            ("hrnet", {}, "PCKh@0.11"),
            ("dark", {}, "PCKh@0.11"),
            ("simcc", {}, "PCKh@0.1"),
            ("mmpose", {"strict": True}, "PCKh@0.1"),
            ("hrnet_f32preds", {"single": True}, "PCKh@0.11"),
        ):
            values = row(scored(v, name, **options), last)
            np.testing.assert_allclose(values, v[f"{name}_{code}"], rtol=0, atol=1e-6, err_msg=code)
        # pytorch-pose prints two decimals. Its mean is that of the joints' shares, however often each is labelled.
        groups = row(scored(v, name, strict=True), "PCKh@0.1")[:7]
        np.testing.assert_allclose(groups, v[f"{name}_ptpose"][:7], rtol=0, atol=0.00501)


@pytest.mark.parametrize("file", PCKH)
def test_a_joint_that_nobody_labelled_spoils_only_the_official_numbers(file):
    v = arrays(file)
    ours = np.array(row(scored(v, "Z"), "PCKh@0.11"))
    theirs = v["Z_hrnet"]
    defined = theirs != -9999
    assert (~defined).sum() == 3  # Knee, Mean and Mean@0.1
    np.testing.assert_allclose(ours[defined], theirs[defined], rtol=0, atol=1e-6)
    # mmpose averages in -100 for it: (right - 100) / 2. Its means leave the joint out, as ours do.
    mmpose, ours = v["Z_mmpose"], row(scored(v, "Z", strict=True), "PCKh@0.1")
    assert ours[5] == pytest.approx(2 * mmpose[5] + 100, abs=1e-6)
    np.testing.assert_allclose(ours[7:], mmpose[7:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("file", PCKH)
def test_head_lengths_and_joints_come_from_the_official_file(file, tmp_path):
    v = arrays(file)
    rows = {"headboxes_src": v["A_headboxes"], "pos_gt_src": v["A_gt"], "jnt_missing": v["A_missing"]}
    savemat(tmp_path / "gt_valid.mat", rows)
    joints, shown = v["A_gt"].transpose(2, 0, 1), v["A_missing"].T == 0
    marked = np.where(shown[..., None], joints, -1).tolist(), shown.astype(int).tolist()
    place = {"image": "a.jpg", "center": [9, 9], "scale": 1}
    records = [{**place, "joints": xy, "joints_vis": vis} for xy, vis in zip(*marked, strict=True)]
    (tmp_path / "valid.json").write_text(json.dumps(records))
    persons = load_mpii(tmp_path / "valid.json", tmp_path, MPII, heads=tmp_path / "gt_valid.mat")
    subject = PCKh(Truth(persons, MPII, tmp_path / "valid.json", SQUARE))
    values = subject(Predictions(np.arange(len(persons)), v["A_preds"], np.ones((len(persons), 16)))).values
    np.testing.assert_allclose(row(values, "PCKh@0.11"), v["A_hrnet"], rtol=0, atol=1e-6)
