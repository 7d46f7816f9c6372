"""Bad input gives one clear error that names the file or value and the remedy."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch

from poserep import cli
from poserep.codecs.losses import MSE
from poserep.data import load_coco
from poserep.errors import Failed, InputError
from poserep.runs.create import prepare
from poserep.skeleton import COCO
from poserep.training import fit as fitting
from poserep.training.build import build
from poserep.training.fit import fit
from reference.vectors import listed
from tiny import TINY


def test_annotation_files_that_cannot_be_read(synthetic, tmp_path):
    with pytest.raises(InputError, match=r"nowhere/train\.json does not exist; set data\.root"):
        load_coco("nowhere/train.json", "images", COCO)
    path = tmp_path / "a.json"
    path.write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        load_coco(path, tmp_path, COCO)
    data = json.loads(next(synthetic.glob("easy-8-6-*/annotations/train.json")).read_text())
    data["categories"][0]["keypoints"].pop()
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"16 in the file.*17 in the skeleton.*set data.skeleton"):
        load_coco(path, tmp_path, COCO)


def test_truncated_image_stops_a_run_with_one_line(configure, synthetic, tmp_path, capsys):
    folder = tmp_path / "set"
    shutil.copytree(next(synthetic.glob("easy-8-6-*")), folder)
    bad = sorted((folder / "images" / "train").glob("*.jpg"))[3]
    bad.write_bytes(bad.read_bytes()[:1000])
    run_dir = prepare(configure("data.prepare=null", f"data.root={folder}", "trainer.workers=1"), "backbone")
    # As the worker of a run does.
    assert cli.ended(lambda: fit(run_dir)) == 2
    expected = f"error: {bad}: image file that cannot be read (is cut short (1000 bytes, no end mark); copy it again)"
    assert capsys.readouterr().err.startswith(f"{expected}, so are 1 of 8 train images")


@pytest.mark.parametrize("case", listed("refused_settings"), ids=lambda case: " ".join(case["overrides"]))
def test_settings_that_cannot_work_are_refused_before_data_are_read(configure, monkeypatch, case):
    def refuse(*_, **__):
        raise AssertionError("data were read")

    monkeypatch.setattr("poserep.data.synthetic.generate", refuse)
    monkeypatch.setattr("poserep.data.dataset.PoseDataset", refuse)
    with pytest.raises(InputError, match=case["message"]):
        build(configure(*case["overrides"]))


def test_diverged_loss_keeps_the_last_good_checkpoint(configure, monkeypatch):
    run_dir = prepare(configure("trainer.epochs=3", "boxes=[gt]"), "backbone")
    calls, sound = [], MSE.__call__

    def loss(*arguments):
        calls.append(1)
        # The first call is a trial when the run is built.
        return sound(*arguments) * (float("nan") if len(calls) == 5 else 1)

    monkeypatch.setattr(MSE, "__call__", loss)
    with pytest.raises(Failed, match=r"loss is not finite in epoch 1, batch 1 \(instances \[\d.*last checkpoint"):
        fit(run_dir)
    state = torch.load(run_dir.checkpoint("last"), weights_only=True)
    assert state["epoch"] == 0 and all(v.isfinite().all() for v in state["state_dict"].values())
    status = run_dir.status()
    assert status["state"] == "failed" and "loss is not finite" in status["error"] and not status["input"]


def test_failure_before_training_is_recorded(configure):
    run_dir = prepare(configure("data.prepare=null", "data.root=nowhere"), "backbone")
    with pytest.raises(InputError, match=r"nowhere/annotations/train\.json does not exist|val\.json does not exist"):
        fit(run_dir)
    assert "does not exist" in run_dir.status()["error"]


def test_key_that_must_be_given(configure):
    with pytest.raises(InputError, match=r"data\.root must be given, as in data\.root="):
        prepare(configure("data=lspet", "data.root=???"), "backbone")


@pytest.mark.parametrize(("accelerator", "kind"), [("gpu", "GPUs"), ("mps", "GPUs of Apple")])
def test_a_gpu_that_is_not_there_is_told_before_anything_is_built(configure, monkeypatch, accelerator, kind):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(fitting, "build", lambda _: pytest.fail("people were drawn"))
    run_dir = prepare(configure(f"trainer.accelerator={accelerator}"), "backbone")
    with pytest.raises(InputError, match=rf"trainer\.devices=1 on {accelerator}, but 0 {kind} are visible; take"):
        fit(run_dir)


def test_batch_that_devices_do_not_divide(configure):
    run = build(configure("trainer.batch=5"))
    run.data.trainer = type("Trainer", (), {"world_size": 2, "global_rank": 0})()
    with pytest.raises(InputError, match=r"trainer\.batch=5 does not divide by 2 devices"):
        run.data.per_device()


def test_small_shared_memory_is_told_before_training(configure, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=64_000))
    build(configure("trainer.workers=0"))
    with pytest.raises(InputError, match=r"has 0 MB free, and trainer.workers=2 .* or set trainer.workers=0"):
        build(configure("trainer.workers=2"))


def test_a_step_of_one_sample_that_a_batch_norm_cannot_train_on_is_told(configure):
    # A ResNet of stride 32 leaves 1 x 1 of 32 px.
    build(configure("trainer.batch=1"))
    one = ["input_size=32x32", "backbone=resnet18", "representation=rle"]
    with pytest.raises(InputError, match=r"a step on each device has one sample, .* at 32x32 px"):
        build(configure(*one, "trainer.batch=1"))
    # Eight persons in batches of seven.
    with pytest.raises(InputError, match="the last step of an epoch has one sample"):
        build(configure(*one, "trainer.batch=7", "trainer.drop_last=false"))
    build(configure(*one, "trainer.batch=7"))
    with pytest.raises(InputError, match=r"a micro-batch has one sample, .*trainer.batch, trainer.micro_batch,"):
        build(configure(*one, "trainer.micro_batch=1"))


@pytest.mark.parametrize("word", ["boxes=[gtt]", "readouts=[foo]", "data.level=medium", "representation.codec.sigma=0"])
def test_a_refused_run_leaves_nothing_behind(synthetic, monkeypatch, tmp_path, capsys, word):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *TINY, f"data.root={synthetic}", word]) == 2
    assert word.split("=")[0].split(".")[-1].rstrip("s") in capsys.readouterr().err
    assert not [*tmp_path.glob("runs/*")]
