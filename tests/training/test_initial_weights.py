"""Runs that start from other networks: `init` and `backbone.weights`, from the command line to the evaluation."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from poserep import cli
from poserep.config import compose
from poserep.data.from_config import skeleton_of
from poserep.errors import InputError
from poserep.models.weights.read import read_state
from poserep.runs.create import create_run, missing_files, prepare, resolved
from poserep.runs.identity import contents, earlier_run, identity
from poserep.runs.rundir import RunDir
from poserep.skeleton import COCO
from poserep.sweeps.train import run_composed
from poserep.training import fit as fitting
from poserep.training.evaluate import configure as reconfigure
from poserep.training.evaluate import reevaluate
from poserep.training.initial_weights import load_initial
from poserep.training.network import assemble
from tiny import TINY

FEET = ("left_toe", "right_toe", "left_heel", "right_heel")


def joints(folder: Path, names: tuple[str, ...]) -> str:
    """The override that gives a data set these joints, which a file in a folder describes."""
    pairs = [[name, name.replace("left", "right")] for name in names if name.startswith("left")]
    skeleton = {"name": "mine", "keypoints": list(names), "pairs": pairs, "sigmas": [0.07] * len(names)}
    file = folder / f"{identity({'data': skeleton})}.json"
    file.write_text(json.dumps(skeleton))
    return f"data.skeleton={file}"


def with_feet(synthetic: Path, folder: Path) -> list[str]:
    """Overrides of the tiny data set with four joints more, where the nose is."""
    shutil.copytree(next(synthetic.glob("easy-8-6-*")), folder)
    for file in (folder / "annotations" / name for name in ("train.json", "val.json")):
        data = json.loads(file.read_text())
        data["categories"][0]["keypoints"] += FEET
        for person in data["annotations"]:
            person["keypoints"] += person["keypoints"][:3] * 4
        file.write_text(json.dumps(data))
    return ["data.prepare=null", f"data.root={folder}", joints(folder, (*COCO.names, *FEET)), "boxes=[gt]"]


def begun(cfg) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The network that a configuration starts from, and what is said of it."""
    torch.manual_seed(cfg.seed)
    net, codec = assemble(cfg, skeleton_of(cfg))
    lines = load_initial(cfg, net, codec, skeleton_of(cfg))
    return net.state_dict(), lines


def test_a_run_of_17_joints_becomes_one_of_21_by_one_command(trained, synthetic, tmp_path, monkeypatch, capsys):
    base, _ = trained("representation=heatmap")
    source, starts = read_state(base / "checkpoints/last.ckpt"), []

    def recorded(cfg, net, *rest):
        lines = load_initial(cfg, net, *rest)
        starts.append({key: value.clone() for key, value in net.state_dict().items()})
        return lines

    monkeypatch.setattr(fitting, "load_initial", recorded)
    words = [*TINY[:3], *with_feet(synthetic, tmp_path / "feet"), f"runs={tmp_path}/runs", "study=feet"]
    assert cli.main(["train", *words, f"init={base}"]) == 0
    out = capsys.readouterr().out
    line = "backbone 50 of 50 tensors, head 5 of 7; begin anew: head.final_layer (17 → 21 joints)\n"
    assert f"init {base}/checkpoints/last.ckpt: {line}" in out
    (start,) = starts
    fresh = begun(compose(words).cfg)[0]
    for key, value in start.items():
        last = key.startswith("head.final_layer")
        assert torch.equal(value, fresh[key] if last else source[f"net.{key}"]), key
        assert not last or value.shape[0] == 21
    # From now on its own weights count: evaluated and continued without the other run, as the same evaluation.
    (run_dir,) = (RunDir(path) for path in (tmp_path / "runs/feet").iterdir())
    before = reevaluate(run_dir, reconfigure(run_dir, []))
    shutil.rmtree(base)
    assert reevaluate(run_dir, reconfigure(run_dir, []))["id"] == before["id"]
    run_dir.result_file().unlink()
    capsys.readouterr()
    assert fitting.fit(run_dir)["metrics"] == before["metrics"] and len(starts) == 1
    out = capsys.readouterr().out
    assert ", resumed\n" in out and "init" not in out


@pytest.mark.parametrize("representation", ["rle", "gaussian_regression", "ipr", "ipr_debiased"])
def test_regression_starts_from_a_heatmap_network(trained_once, configure, representation):
    base = trained_once("representation=heatmap")
    source = read_state(base / "checkpoints/last.ckpt")
    state, (line,) = begun(configure(f"representation={representation}", f"init={base}"))
    whole = representation.startswith("ipr")
    assert ("backbone 50 of 50 tensors, head 7 of 7" in line) == whole
    assert whole or "backbone 50 of 50 tensors, head 0 of" in line
    taken = [key for key in state if key.startswith("backbone.") or (whole and key.startswith("head."))]
    assert len(taken) >= 50 and all(torch.equal(state[key], source[f"net.{key}"]) for key in taken)


def test_joints_in_another_order_begin_anew_where_they_are_known(trained_once, configure, tmp_path):
    base = trained_once("representation=heatmap")
    file = tmp_path / "copy.ckpt"
    shutil.copy(base / "checkpoints/last.ckpt", file)
    reverse, other = joints(tmp_path, COCO.names[::-1]), joints(tmp_path, ("tail", *COCO.names[1:]))
    for words, ending in (
        ([], "head 7 of 7"),
        ([reverse], "begin anew: head.final_layer (joints in another order)"),
        ([other], "begin anew: head.final_layer (other joints)"),
    ):
        assert begun(configure(*words, f"init={base}"))[1][0].endswith(ending)
    cfg = configure(reverse, f"init={file}")
    state, (line,) = begun(cfg)
    assert line.endswith("head 7 of 7; the joints are assumed to be in the same order")
    assert torch.equal(state["head.final_layer.weight"], read_state(file)["net.head.final_layer.weight"])
    # As they start from different weights.
    assert contents(cfg)["init"] != contents(configure(reverse, f"init={base}"))["init"]


def test_the_checkpoint_counts_and_not_where_it_lies(trained, configure, tmp_path):
    base, _ = trained("representation=heatmap")
    given = [{}, {"init": base}, {"init": f'"{base}#best"'}]
    runs = [resolved(configure(*(f"{k}={v}" for k, v in words.items())), "b") for words in given]
    assert len({identity(config) for config in runs}) == 3
    assert missing_files(resolved(configure(f"init={tmp_path}/no.pth"), "b")) == [tmp_path / "no.pth"]
    run_dir = create_run(runs[1])
    moved = base.rename(tmp_path / "moved")
    assert identity(resolved(configure(f"init={moved}"), "b")) == identity(runs[1])
    moved.rename(base)
    torch.save({}, base / "checkpoints/last.ckpt")
    with pytest.raises(InputError, match=r"last\.ckpt has changed since this run was composed; give the command again"):
        fitting.fit(run_dir)


def test_a_backbone_says_what_it_took_and_of_a_pose_model_how_to_take_the_head(trained_once, configure):
    file = trained_once("representation=heatmap") / "checkpoints/last.ckpt"
    (line,) = begun(configure(f"backbone.weights={file}"))[1]
    assert line.startswith(
        f"backbone.weights {file}: backbone 50 of 50 tensors, head 0 of 7; begin anew: head; not taken"
    )
    assert line.endswith(f"heatmap, 17 joints: init={file} instead takes what fits of its head too")


def test_initial_weights_that_cannot_be_meant_are_refused(trained_once, configure, tmp_path):
    base = trained_once("representation=heatmap")
    for words, message in (
        (
            ["init=a.pth", "backbone.weights=b.pth"],
            "are both initial weights of the backbone: add backbone.weights=null",
        ),
        ([f"init={base.parent}"], f"is a folder, but no run directory: name one, such as {base.parent}"),
        ([f"init={tmp_path}"], "is a folder, but no run directory: name one, or a file"),
        ([f'init="{base}#none"'], f"checkpoint=none: {base} has best, last"),
    ):
        with pytest.raises(InputError, match=message):
            prepare(configure(*words), "b")
    with pytest.raises(InputError, match=f"name the file in it, or start from all of that run with init={base}"):
        begun(configure(f"backbone.weights={base}"))


def test_random_numbers_are_what_smoke_runs_begin_with(configure, capsys, monkeypatch):
    smoke = resolved(configure("init=a.pth", "backbone.weights=b.pth", "trainer.pretrained=false"), "b")
    assert smoke == resolved(configure("trainer.pretrained=false"), "b")
    monkeypatch.setattr("poserep.sweeps.train.run_single", lambda run_dir: None)
    run_composed(configure("init=a.pth", "trainer.pretrained=false"), "backbone", several=False)
    assert "begins with random numbers, not with init=a.pth" in capsys.readouterr().out


def test_more_epochs_name_the_run_that_has_finished(trained, configure, tmp_path, capsys, monkeypatch):
    base, result = trained("representation=heatmap")
    config = {**result["config"], "runs": str(tmp_path), "study": base.parent.name}
    longer = {**config, "trainer": {**config["trainer"], "epochs": 3}}
    assert earlier_run(longer) == base and earlier_run(config) is None
    assert earlier_run({**longer, "seed": 1}) is None and earlier_run({**longer, "flip_test": False}) is None
    monkeypatch.setattr("poserep.sweeps.train.run_single", lambda run_dir: None)
    cfg = configure("representation=heatmap", f"runs={tmp_path}", "study=trained", "trainer.epochs=3")
    run_composed(cfg, "backbone", several=False)
    out = capsys.readouterr().out
    assert out.startswith(f"note: {base} is this run with fewer") and out.endswith(f"weights, add init={base}\n")
