"""Data sets of one's own: docs/your-data.md on an export of CVAT's form, drafts of configurations, files by path."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from poserep import cli
from poserep.config import compose, with_overrides
from poserep.data.custom_set import DEFAULT_SIGMA, draft_set, mirror_pairs, unpaired_sides
from poserep.errors import InputError
from poserep.overrides import CONF
from poserep.runs.result_values import training_note
from poserep.runs.rundir import runs_in
from poserep.skeleton import COCO, Skeleton
from poserep.training.build import build
from poserep.training.evaluation import protocols_of
from poserep.training.fit import fit
from tiny import SMOKE

PAGE = (CONF.parent / "docs/your-data.md").read_text()
# Positions and names of the joints of the export.
JOINTS = {i: name.replace("_", " ") for i, name in enumerate(COCO.names) if i > 4} | {0: "tip"}


@pytest.fixture
def export(synthetic: Path, tmp_path: Path) -> Path:
    """A project of CVAT as COCO Keypoints 1.0: drawn people with other joints in another order."""
    folder, (synthetic,) = tmp_path / "export", synthetic.glob("easy-8-6-*")
    shutil.copytree(synthetic / "images", folder / "images")
    (folder / "annotations").mkdir()
    for split in ("train", "val"):
        drawn = json.loads((synthetic / f"annotations/{split}.json").read_text())
        dates = {"license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
        category = {"id": 1, "name": "person", "supercategory": "", "keypoints": [*JOINTS.values()]}
        people = []
        for person in drawn["annotations"]:
            joints = [person["keypoints"][3 * i : 3 * i + 3] for i in JOINTS]
            flat = [number for joint in joints for number in joint]
            tool = {"attributes": {"occluded": False, "keyframe": False}, "segmentation": []}
            people.append({**person, **tool, "keypoints": flat, "num_keypoints": sum(v > 0 for v in flat[2::3])})
        content = {
            "licenses": [{"name": "", "id": 0, "url": ""}],
            "info": {"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""},
            "categories": [{**category, "skeleton": [[7, 9], [8, 10]]}],
            "images": [{**image, **dates} for image in drawn["images"]],
            "annotations": people,
        }
        (folder / f"annotations/person_keypoints_{split}.json").write_text(json.dumps(content))
    return folder


def test_the_page_leads_from_an_export_to_a_report(export, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # In this process, as a new one takes longer to start than to train.
    monkeypatch.setattr("poserep.sweeps.cell.launch", lambda worker, words, *_, **__: fit(words[0]))
    commands = [
        line
        for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S)
        for line in block.replace("\\\n", "").splitlines()
    ]
    assert len(commands) == 7
    for command in commands:
        words = [
            found for word in shlex.split(command)[1:] for found in (sorted(map(str, Path().glob(word))) or [word])
        ]
        assert cli.main(words) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    assert "13 joints, 6 pairs: left shoulder-right shoulder" in shown
    assert f"sigmas to fill in, {DEFAULT_SIGMA} until then: tip" in shown and "no errors" in shown
    assert {run.config()["data"]["name"] for run in runs_in(tmp_path / "runs/workers")} == {"workers"}
    assert (tmp_path / "runs/workers/report.html").is_file() and (tmp_path / "workers.png").is_file()
    assert {row["file_name"] for row in json.loads((tmp_path / "poses/keypoints.json").read_text())}
    drafted = Skeleton.from_category(yaml.safe_load((tmp_path / "workers.yaml").read_text())["skeleton"])
    assert drafted.edges == (("left hip", "left knee"), ("right hip", "right knee"))
    assert drafted.sigmas[drafted.names.index("left hip")] == 0.107 and "tip" not in drafted.upper
    assert "left elbow" in drafted.upper and "left knee" not in drafted.upper


def test_pairs_are_guessed_from_names():
    names = ["L_Eye", "R_Eye", "knee_l", "knee_r", "Lhip", "Rhip", "lElbow", "rElbow", "earL", "earR", "left toe"]
    names += ["right toe", "LEFT_PAW", "RIGHT_PAW", "tail", "lip", "pelvis", "leftHand", "rightHand"]
    assert {a: (b, part) for (a, b), part in mirror_pairs(names).items()} == {
        "L_Eye": ("R_Eye", "eye"), "knee_l": ("knee_r", "knee"), "Lhip": ("Rhip", "hip"),
        "lElbow": ("rElbow", "elbow"), "earL": ("earR", "ear"), "left toe": ("right toe", "toe"),
        "LEFT_PAW": ("RIGHT_PAW", "paw"), "leftHand": ("rightHand", "hand"),
    }  # fmt: skip


def test_joints_of_one_side_are_named():
    names = ["left_ankle", "Foot L", "earR", "l_eye", "r_eye", "lip", "ribs", "nostril", "shoulder"]
    assert unpaired_sides(names, [("l_eye", "r_eye")]) == ["left_ankle", "Foot L", "earR"]


def test_drafts_of_files_with_less(export, tmp_path):
    file = export / "annotations/person_keypoints_train.json"
    content = json.loads(file.read_text())
    for person in content["annotations"]:
        del person["bbox"], person["area"]
    content["categories"] = [{"id": 3, "name": "worker"}]
    for person in content["annotations"]:
        person["category_id"] = 3
    alone = export / "annotations/all.json"
    alone.write_text(json.dumps(content))
    draft = draft_set(alone, name="alone")
    config = yaml.safe_load(draft.text)
    assert config["category"] == 3 and config["boxes"] == "joints" and config["metric"]["area"] == "box"
    assert config["skeleton"]["keypoints"] == [str(i) for i in range(1, 14)] and config["val"]["annotations"] == "???"
    assert config["root"] == str(export) and config["train"]["images"] == "images/train"
    for changes, message in (
        ({"annotations": [], "categories": [{"id": 1, "name": "person"}]}, "no category and no annotation has"),
        ({"categories": [{"id": 1, "keypoints": ["a"], "name": "x"}, {"id": 2, "keypoints": ["b"], "name": "y"}]},
         "choose one with --category: x \\(1 joints\\), y"),
    ):  # fmt: skip
        alone.write_text(json.dumps(content | changes))
        with pytest.raises(InputError, match=message):
            draft_set(alone)


def test_files_of_groups_are_chosen_by_path(tmp_path):
    own, same = tmp_path / "own.yaml", tmp_path / "coco.yaml"
    for path, root in ((own, "a"), (same, "b")):
        path.write_text((CONF / "data/lspet.yaml").read_text().replace("???", root))
    assert [compose([f"data={path}"]).cfg.data.root for path in (own, same, own)] == ["a", "b", "a"]
    assert compose([f"data={own}"]).choices["data"] == "own" and compose(["data=coco"]).cfg.data.root == "data/coco"
    config = {"data": {}, "seed": 1}
    assert with_overrides(config, [f"data={same}"]).data.root == "b"
    folder = tmp_path / "sets" / "data"
    folder.mkdir(parents=True)
    for name in ("mine", "coco"):
        shutil.copy(own, folder / f"{name}.yaml")
    # A folder without a file to start from adds to conf/, and comes first.
    for name in ("mine", "coco"):
        assert compose([f"data={name}"], folder=folder.parent).cfg.data.root == "a"
    blank = tmp_path / "my sets, x=1.yaml"
    shutil.copy(own, blank)
    assert compose([f"data='{blank}'"]).cfg.data.root == "a"
    own.write_text("[1, 2]")
    for word, message in (
        (f"data={tmp_path}/none.yaml", "none.yaml: there is no such file"),
        (f"data={own}", "must hold the keys of a file of conf/data"),
        ("backbone=none.yml", "backbone=none.yml: there is no such file"),
    ):
        with pytest.raises(InputError, match=message):
            compose([word])


def test_who_is_left_out_stands_beside_the_numbers(export, tmp_path):
    for split in ("train", "val"):
        file = export / f"annotations/person_keypoints_{split}.json"
        content = json.loads(file.read_text())
        people, category = content["annotations"], content["categories"][0]
        people[0]["bbox"], people[1]["category_id"] = None, 2
        content["categories"].append({**category, "id": 2, "name": "visitor"})
        people[2]["keypoints"] = []
        file.write_text(json.dumps(content))
    (tmp_path / "own.yaml").write_text(draft_set(export / "annotations/person_keypoints_train.json", name="own").text)
    words = ["data.boxes=annotated", "data.skip_invalid=true", "data.category=[person]"]
    run = build(compose([*SMOKE, f"data={tmp_path}/own.yaml", *words]).cfg)
    lost = {"without a box of four numbers": 1, "of other categories": 1}
    (protocol, *_) = protocols_of(run, "gt").values()
    assert protocol["uncounted"] == {f"left out, {reason}": count for reason, count in lost.items()}
    record = json.loads(json.dumps({"loaded": run.loaded(), "protocol": protocol}))
    assert training_note(record) == "left out of training: 1 of other categories, 1 without a box of four numbers"
    assert training_note({"loaded": {"train": {"left_out": {"crowds": 3}}}}) == training_note({}) == ""
