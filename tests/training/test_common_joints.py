"""Runs evaluated on data sets with other joints: by name, on those in common."""

import json
from copy import deepcopy

import numpy as np
import pytest

from poserep import cli
from poserep.errors import InputError
from poserep.report.compare.stored import read_side, rebuild
from poserep.runs.rundir import RunDir
from poserep.skeleton import COCO
from poserep.training.evaluate import configure as reconfigure
from poserep.training.evaluate import reevaluate

LIMBS = list(COCO.names[5:])


@pytest.fixture
def drawn(synthetic):
    """The folder of the tiny set and the content of its validation file."""
    (folder,) = synthetic.glob("easy-8-6-*")
    return folder, json.loads((folder / "annotations/val.json").read_text())


@pytest.fixture
def evaluated(trained, drawn, tmp_path):
    """Evaluate a run of all joints on annotations with other ones: its directory, the result, and the predictions."""
    run_dir, _ = trained("representation=simcc", "boxes=[gt]")

    def go(names, *overrides, change=None):
        """``names`` are the joints of the file in its order; a tail is where the nose is."""
        folder, content = deepcopy(drawn)
        at = [0 if name == "tail" else COCO.positions([name])[0] for name in names]
        content["categories"][0]["keypoints"] = list(names)
        for person in content["annotations"]:
            points = np.array(person["keypoints"]).reshape(-1, 3)[at]
            person["keypoints"] = points.ravel().tolist()
            person["num_keypoints"] = int((points[:, 2] > 0).sum())
        if change:
            change(content)
        file = tmp_path / "val.json"
        file.write_text(json.dumps(content))
        words = ["data.prepare=null", f"data.root={folder}", "boxes=[gt]", f"data.val.annotations={file}"]
        result = reevaluate(run_dir, reconfigure(run_dir, [*words, *overrides]))
        return run_dir, result, RunDir(run_dir).predictions(result["id"])

    return go


def test_joints_in_another_order_give_the_same_numbers(evaluated, capsys):
    _, same, expected = evaluated(COCO.names)
    assert "joints:" not in capsys.readouterr().out
    run_dir, found, predictions = evaluated(COCO.names[::-1])
    assert found["metrics"] == same["metrics"] and found["errors"] == same["errors"]
    assert found["protocol"]["gt"]["argmax"]["joints"] == []
    for key, array in expected.items():
        np.testing.assert_array_equal(predictions[key], array)
    assert "another order: they are evaluated by name" in capsys.readouterr().out
    # In the order of the data set's skeleton, which a custom one defines.
    assert rebuild(read_side(f"{run_dir}/evaluation-{found['id']}.json", "gt")[0])[0].truth.skeleton == COCO


def test_some_of_the_joints_are_evaluated_by_name(evaluated, capsys):
    def hide_limbs(content):
        content["annotations"][0]["keypoints"][: 3 * len(LIMBS)] = [0] * 3 * len(LIMBS)

    _, all_joints, whole = evaluated(COCO.names)
    names = [*(name.replace("_", " ").title() for name in LIMBS[::-1]), "nose", "tail"]
    run_dir, found, predictions = evaluated(names, change=hide_limbs)
    out, protocol = capsys.readouterr().out, found["protocol"]["gt"]["argmax"]
    assert protocol["joints"] == ["nose", *LIMBS] and f"13 joints (nose, {', '.join(LIMBS)})" in out
    assert "13 of 17 joints are evaluated, by name; only the predictions have left_eye, right_eye, left_ear" in out
    assert "only the data set has tail" in out and found["errors"]["gt"]["argmax"]["joints"].keys() == {"nose", *LIMBS}
    kept = COCO.positions(["nose", *LIMBS])
    np.testing.assert_array_equal(predictions["gt/argmax/xy"], whole["gt/argmax/xy"][:, kept])
    np.testing.assert_array_equal(predictions["gt/argmax/score"], whole["gt/argmax/score"][:, kept])
    # The truth alone is found.
    scorer, stored = rebuild(read_side(f"{run_dir}/evaluation-{found['id']}.json", "gt")[0])
    assert scorer.truth.sigmas.tolist() == [COCO.sigmas[i] for i in kept]
    assert scorer(stored).values == found["metrics"]["gt"]["argmax"]
    people = {person["id"]: person for person in scorer.persons()[0]}
    assert people[1]["num_keypoints"] == 1 and len(people[1]["keypoints"]) == 3 * len(kept)
    other = RunDir(run_dir).result_file(all_joints["id"])
    assert cli.main(["compare", str(other), f"{run_dir}/evaluation-{found['id']}.json"]) == 2
    assert "they differ in" in capsys.readouterr().err


def test_people_without_a_joint_in_common_are_counted_and_left_out(evaluated, drawn, capsys):
    def hide_limbs(content):
        content["annotations"][0]["keypoints"] = [0] * 3 * 12 + content["annotations"][0]["keypoints"][36:]

    _, found, predictions = evaluated([*LIMBS, "tail"], change=hide_limbs)
    people = len(drawn[1]["annotations"])
    assert found["loaded"]["gt"]["left_out"] == {"without labelled keypoints in common": 1}
    assert found["loaded"]["gt"]["taken"] == len(predictions["gt/index"]) == people - 1
    assert "1 without labelled keypoints in common" in capsys.readouterr().out


def test_the_sets_own_skeleton_gives_order_and_sigmas(evaluated, tmp_path, capsys):
    own = {"keypoints": LIMBS[::-1], "pairs": [], "sigmas": [0.05] * 12}
    for name, category in (("same", {**own, "sigmas": COCO.only(LIMBS).sigmas[::-1]}), ("other", own)):
        (tmp_path / f"{name}.json").write_text(json.dumps(category))
    run_dir, first, plain = evaluated(LIMBS[::-1])
    sides = [f"{run_dir}/evaluation-{first['id']}.json"]
    for name in ("same", "other"):
        _, found, predictions = evaluated(LIMBS[::-1], f"data.skeleton={tmp_path}/{name}.json")
        np.testing.assert_array_equal(predictions["gt/argmax/xy"], plain["gt/argmax/xy"][:, ::-1])
        assert found["protocol"]["gt"]["argmax"]["joints"] == LIMBS[::-1]
        sides.append(f"{run_dir}/evaluation-{found['id']}.json")
    capsys.readouterr()
    assert cli.main(["compare", *sides[:2], "--metric", "AR50", "--samples", "5"]) == 0
    assert cli.main(["compare", sides[0], sides[2]]) == 2
    assert "they differ in joints (left_ankle, left_elbow" in capsys.readouterr().err


def test_no_joint_in_common_is_one_clear_error(evaluated):
    with pytest.raises(InputError, match=r"no joint of the same name in common: predicted are nose.* file has tail;"):
        evaluated(["tail"], change=lambda content: content["categories"][0].update(keypoints=["tail"]))
