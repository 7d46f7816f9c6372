"""Every choice of every group composes, instantiates and takes steps."""

import json
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from poserep.overrides import CONF
from poserep.runs.create import prepare
from poserep.skeleton import COCO
from poserep.training.fit import fit

SWEEPS = CONF.parent / "sweeps"


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


# SRPose reads maps of several resolutions.
NEEDS = {"srpose": ["backbone=resnet18_pyramid"]}


# Bottom-up networks are there to be counted and imported.
@pytest.mark.parametrize("representation", [r for r in choices("representation") if not r.startswith("bottomup")])
def test_representation_trains(run, representation):
    _, result = run(f"representation={representation}", *NEEDS.get(representation, []))
    assert result["status"] == "finished"
    assert set(result["metrics"]) == {"gt", "det"}
    for by_readout in result["metrics"].values():
        assert by_readout and all(0 <= values["AP"] <= 100 for values in by_readout.values())


HEAD, CODEC = "representation.head", "representation.codec"


@pytest.mark.parametrize(
    "overrides",
    [
        [f"{HEAD}.side._target_=poserep.models.InterPredictor", "+representation.note=x"],
        [f"{HEAD}.main._target_=poserep.models.SimplePredictor", f"{CODEC}.scale=0.25"],
        [f"+{HEAD}.main.kernels=[3,3,3,3]", f"{CODEC}.targets=drawn", f"{CODEC}.supervise=[false,true,true,true]"],
        [f"{CODEC}.mid_stride=8", f"{CODEC}.scale=2"],
    ],
)
def test_ablations_of_srpose_train(run, overrides):
    run("representation=srpose", "backbone=resnet18_pyramid", "boxes=[gt]", *overrides)


@pytest.mark.parametrize("scale", [0.5, 2])
def test_super_resolution_trains_at_other_scales(run, scale):
    run("representation=sr", f"{CODEC}.scale={scale}", "boxes=[gt]")


# One of every kind; test_pairs.py has them all.
@pytest.mark.parametrize(
    "backbone", ["hrnet_w18", "resnet18_pyramid", "tokenpose_s", "transpose_r", "hg4", "vitpose_s"]
)
def test_backbone_trains(run, backbone):
    representation = ["representation=srpose"] if backbone.endswith("pyramid") else []
    _, result = run(f"backbone={backbone}", *representation, "boxes=[gt]", "flip_test=false")
    assert result["cost"]["params"] == result["cost"]["params_backbone"] + result["cost"]["params_head"]


@pytest.mark.parametrize("size", [s for s in choices("size") if s != "64x64"])
def test_size_trains(run, size):
    _, result = run(f"size={size}", "representation=simcc", "boxes=[gt]", "flip_test=false")
    assert result["config"]["input_size"] == size


@pytest.mark.parametrize("augment", choices("augment"))
def test_augmentation_trains(run, augment):
    run(f"augment={augment}", "boxes=[gt]")


@pytest.mark.parametrize("optim", choices("optim"))
def test_optimiser_trains(run, optim):
    _, result = run(f"optim={optim}", "boxes=[gt]")
    assert result["cost"]["lr"] == pytest.approx(result["config"]["optim"]["lr"] * 4 / result["cost"]["recipe_batch"])


@pytest.mark.parametrize("trainer", choices("trainer"))
def test_trainer_runs_on_this_machine(run, trainer):
    here = ["trainer.accelerator=cpu", "trainer.workers=1", "trainer.epochs=1", "trainer.batch=4", "boxes=[gt]"]
    _, result = run(f"trainer={trainer}", *here)
    assert result["speed"]["img_s"] > 0


def test_wandb_logs_every_run_of_a_process_offline(run, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for representation in ("simcc", "heatmap"):
        run_dir, _ = run("logger=wandb", f"representation={representation}", "boxes=[gt]", "flip_test=false")
        (record,) = run_dir.glob("wandb/offline-run-*/*.wandb")
        assert record.stem.endswith(run_dir.name[-8:])


@pytest.mark.parametrize("align", ["centre", "corner", "dark"])
def test_alignment_trains(run, align):
    run(f"align={align}", "representation=simcc", "boxes=[gt]")


@pytest.mark.parametrize("data", ["coco", "lspet"])
def test_data_composes(data):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", [f"data={data}", "data.root=somewhere"])
    assert cfg.data.real


COCO_FILES = ["data.train.annotations=annotations/train.json", "data.train.images=images/train",
              "data.val.annotations=annotations/val.json", "data.val.images=images/val"]  # fmt: skip


def test_coco_trains_on_a_folder_in_its_layout(run, synthetic):
    folder = next(synthetic.glob("easy-8-6-*"))
    _, result = run("data=coco", f"data.root={folder}", *COCO_FILES, "data.detections=annotations/val_detections.json")
    assert set(result["metrics"]) == {"gt", "det"} and set(result["config"]["contents"]) == {
        "train",
        "val",
        "detections",
    }


def test_custom_skeleton_trains_from_one_file(run, synthetic, tmp_path):
    folder = next(synthetic.glob("easy-8-6-*"))
    skeleton = OmegaConf.load(CONF / "data" / "lspet.yaml").skeleton
    for split, name in (("train", "train"), ("val", "val")):
        data = json.loads((folder / f"annotations/{split}.json").read_text())
        data["categories"] = [{"id": 1, "name": "person", "keypoints": list(skeleton.keypoints)}]
        for annotation in data["annotations"]:
            joints = dict(zip(COCO.names, np.reshape(annotation["keypoints"], (-1, 3)).tolist(), strict=True))
            joints |= {"neck": joints["left_shoulder"], "head_top": joints["nose"]}
            annotation["keypoints"] = [v for joint in skeleton.keypoints for v in joints[joint]]
            del annotation["num_keypoints"], annotation["iscrowd"]
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    images = f"data.train.images={folder}/images/train", f"data.val.images={folder}/images/val"
    run_dir, result = run("data=lspet", f"data.root={tmp_path}", *images)
    assert list(result["metrics"]) == ["gt"]
    with np.load(run_dir / "predictions.npz") as file:
        assert file["gt/shift/xy"].shape == (6, 14, 2)


def test_hard_people_train(configure):
    overrides = ["data.level=hard", "boxes=[gt]", "data.prepare.train=6", "data.prepare.val=4"]
    assert fit(prepare(configure(*overrides), "backbone"))["config"]["data"]["name"] == "synthetic-hard"


def test_no_config_file_is_long():
    # Recipes are lists, a line for each, of five papers.
    files = [path for path in CONF.rglob("*.yaml") if path.parent.name != "recipes"]
    assert not {p.name: n for p in files if (n := len(p.read_text().splitlines())) > 28}


def test_unknown_key_is_refused():
    with (
        initialize_config_dir(str(CONF), version_base="1.3"),
        pytest.raises(ConfigCompositionException, match="epoch_s"),
    ):
        compose("config", ["trainer.epoch_s=3"])


@pytest.mark.parametrize("sweep", sorted(SWEEPS.glob("*.yaml")), ids=lambda p: p.stem)
def test_sweeps_say_what_they_are_and_networks_to_count_compose(sweep: Path):
    assert sweep.read_text().startswith("# ")
    with initialize_config_dir(str(SWEEPS), version_base="1.3"):
        path = f"hydra.searchpath=[file://{CONF}]"
        table = compose(sweep.stem, [path]).table
        # Rows have tests of their own: test_sweeps.py.
        for row in table.get("networks", []):
            compose(sweep.stem, [path, *row.get("overrides", [])])
