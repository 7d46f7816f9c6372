"""Results of other programs compared with runs and with each other."""

import json
import shutil

import numpy as np
import pytest

from poserep import cli
from poserep.report.compare.joint_errors import agreement, joint_errors
from poserep.report.compare.stored import read_side, read_sides, rebuild
from poserep.runs.rundir import RunDir
from poserep.training.evaluate import configure, reevaluate


@pytest.fixture
def theirs(copied, tmp_path):
    """A run whose predictions are near the truth, and the results that it would have written for COCO's server."""
    run_dir = copied("simcc", "ours", 1, 2.0)
    scorer, predictions = rebuild(read_side(str(run_dir), "gt")[0])
    file = tmp_path / "theirs.json"
    file.write_text(json.dumps(scorer.results(predictions)))
    return run_dir, file


def compared(capsys, *arguments):
    assert cli.main(["compare", *map(str, arguments), "--samples", "20"]) == 0
    return capsys.readouterr()


def refused(capsys, *arguments):
    assert cli.main(["compare", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_a_runs_own_results_have_its_values_whichever_side_they_are(theirs, capsys, tmp_path):
    run_dir, file = theirs
    ours = RunDir(run_dir).result()["metrics"]["gt"]["argmax"]
    for sides in ((run_dir, file), (file, run_dir)):
        out, err = compared(capsys, *sides, "--json", tmp_path / "it.json")
        record = json.loads((tmp_path / "it.json").read_text())
        assert [record[side]["mean"] for side in "ab"] == pytest.approx([ours["AP"]] * 2, abs=1e-9)
        assert (record["difference"], record["low"], record["high"]) == (0, 0, 0) and 0 < ours["AP"] < 100 and not err
        assert "theirs.json" in out and "results of another program do not tell\n" in out
    (one,), (other,) = read_sides(str(run_dir), str(file), None)
    assert one.values == ours and other.values == pytest.approx(ours, abs=1e-9)
    # They are matched with the persons that they were predicted for.
    assert (agreement(joint_errors(one), joint_errors(other)).first == 0).all()


def test_files_are_compared_as_they_were_evaluated(theirs, capsys, synthetic, tmp_path):
    run_dir, file = theirs
    worse = tmp_path / "worse.json"
    rows = json.loads(file.read_text())
    worse.write_text(json.dumps([{**row, "keypoints": (np.array(row["keypoints"]) + 9).tolist()} for row in rows]))
    assert "neither side says what results are scored against" in refused(capsys, file, worse)
    (folder,) = synthetic.glob("easy-8-6-*")
    words = ["data.prepare=null", f"data.root={folder}", "trainer=smoke"]
    assert cli.main(["evaluate", "--results", str(file), *words]) == 0
    capsys.readouterr()
    evaluated = file.with_suffix(".evaluation.json")
    for a, b in ((file, worse), (worse, evaluated), (evaluated, run_dir)):
        out = compared(capsys, a, b).out
        assert ("B better" if a == worse else "within noise" if b == run_dir else "A better") in out
    # Two files of one side are averaged, as seeds are.
    assert " ± " in compared(capsys, f"{file},{worse}", run_dir).out
    worse.write_text(json.dumps(rows[:1]))
    said = f"worse.json: no result on {len(rows) - 1} of {len(rows)} images with people, who count as missed"
    assert said in compared(capsys, worse, run_dir).err
    file.write_text(json.dumps(rows[1:]))
    assert f"{file} has changed since theirs.evaluation.json" in refused(capsys, evaluated, run_dir)
    evaluated.write_text("[]")
    assert "poserep evaluate --results" in refused(capsys, evaluated, run_dir)


def test_results_are_scored_on_the_joints_that_the_run_was_evaluated_on(theirs, capsys, synthetic, tmp_path):
    run_dir, file = theirs
    (folder,) = synthetic.glob("easy-8-6-*")
    content = json.loads((folder / "annotations/val.json").read_text())
    for person in content["annotations"]:
        person["keypoints"] = person["keypoints"][15:]
    content["categories"][0]["keypoints"] = content["categories"][0]["keypoints"][5:]
    annotations = tmp_path / "val.json"
    annotations.write_text(json.dumps(content))
    words = ["data.prepare=null", f"data.root={folder}", f"data.val.annotations={annotations}", "boxes=[gt]"]
    found = reevaluate(run_dir, configure(run_dir, words))
    side = f"{run_dir}/evaluation-{found['id']}.json"
    joints, values = found["protocol"]["gt"]["argmax"]["joints"], []
    # Of all joints of the run's data, or of those of the file.
    for cut in (0, 15):
        rows = [{**row, "keypoints": row["keypoints"][cut:]} for row in json.loads(file.read_text())]
        fewer = tmp_path / f"{cut}.json"
        fewer.write_text(json.dumps(rows))
        (_, (results,)) = read_sides(side, str(fewer), None)
        assert len(joints) == 12 and results.protocol.joints == joints
        values.append(results.values)
        assert "B better" in compared(capsys, side, fewer, "--metric", "AR").out
    assert values[0] == values[1] and 0 < values[0]["AP"] < 100


def test_what_does_not_compare_is_refused(theirs, capsys, tmp_path):
    run_dir, file = theirs
    twin = tmp_path / "twin.json"
    shutil.copy(file, twin)
    assert "no single side; compare them as A and B" in refused(capsys, f"{run_dir},{file}", run_dir)
    assert "two files hold the same results" in refused(capsys, f"{file},{twin}", run_dir)
    assert "gone.json does not exist" in refused(capsys, tmp_path / "gone.json", run_dir)
    assert "scores of results stand as they are" in refused(capsys, run_dir, file, "--score-threshold", "0.1")
    assert "theirs.json has no metric 'PCKh'" in refused(capsys, file, run_dir, "--metric", "PCKh")
