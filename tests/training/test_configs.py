"""Every choice of every group composes, is instantiated and takes steps; a whole run for each form of output."""

import re

import pytest

from poserep.overrides import CONF
from poserep.runs.create import prepare
from poserep.training.build import build
from poserep.training.fit import fit

SWEEPS = CONF.parent / "sweeps"
HEAD, CODEC = "representation.head", "representation.codec"


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


# All alignments, optimisers and input shapes come up; test_network.py has every backbone with every representation.
FORMS = {
    "map": ["representation=heatmap", "augment=hrnet", "optim=adam_step", "align=dark", "size=128x96"],
    "stacks": ["representation=heatmap", "backbone=hg4", "+backbone.features=16", "backbone.stacks=2"],
    "axes": ["representation=simcc", "augment=dark", "optim=one_cycle", "align=corner"],
    "tokens": ["representation=simcc", "backbone=tokenpose_s", "backbone.depths=[1]", "flip_test=false"],
    "points": ["representation=regression", "augment=none"],
    "points with covariance": ["representation=gaussian_regression", "augment=none"],
    "points with scale": ["representation=rle", "augment=srpose"],
    "map with offsets": ["representation=udp_combined", "augment=flip"],
    "fine map": ["representation=sr", f"{CODEC}.scale=2"],
    "pyramid": ["representation=srpose", "backbone=resnet18"],
    "ablated pyramid": [
        "representation=srpose", "backbone=resnet18", f"{HEAD}.main._target_=poserep.models.SimplePredictor",
        f"{HEAD}.side._target_=poserep.models.InterPredictor", f"{CODEC}.supervise=[false,true,true,true]",
        f"{CODEC}.scale=0.25", f"{CODEC}.targets=drawn", f"{CODEC}.mid_stride=8", "+representation.note=x",
    ],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_output_train(run, form):
    boxes = [] if form == "map" else ["boxes=[gt]"]
    _, result = run(*FORMS[form], *boxes)
    assert result["status"] == "finished" and set(result["metrics"]) == ({"gt"} if boxes else {"gt", "det"})
    for by_readout in result["metrics"].values():
        assert by_readout and all(0 <= values["AP"] <= 100 for values in by_readout.values())
    cost, optim = result["cost"], result["config"]["optim"]
    assert cost["params"] == cost["params_backbone"] + cost["params_head"]
    assert cost["lr"] == pytest.approx(optim["lr"] * 4 / cost["recipe_batch"])


@pytest.mark.parametrize("trainer", choices("trainer"))
def test_trainer_runs_on_this_machine(run, trainer):
    here = ["trainer.accelerator=cpu", "trainer.workers=1", "trainer.epochs=1", "trainer.batch=4", "boxes=[gt]"]
    _, result = run(f"trainer={trainer}", *here)
    assert result["speed"]["img_s"] > 0


@pytest.mark.parametrize(
    ("group", "more"), [("augment", []), ("size", ["representation=simcc", "trainer.batch=1"]), ("optim", [])]
)
def test_choices_make_a_step(configure, group, more):
    # That of whole images needs a representation of whole images.
    for choice in (name for name in choices(group) if name != "scenes"):
        run = build(configure(f"{group}={choice}", "boxes=[gt]", "trainer.batch=2", "trainer.workers=0", *more))
        batch, codec = next(iter(run.data.train_dataloader())), run.module.codec
        codec.loss(run.module.net(batch.image), *codec.encode(batch.xy, batch.weight)).backward()
        assert run.module.net.head.final_layer.weight.grad.isfinite().all(), choice


def test_wandb_logs_every_run_of_a_process_offline(run, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for representation in ("simcc", "heatmap"):
        run_dir, _ = run("logger=wandb", f"representation={representation}", "boxes=[gt]", "flip_test=false")
        (record,) = run_dir.glob("wandb/offline-run-*/*.wandb")
        assert record.stem.endswith(run_dir.name[-8:])


def test_hard_people_train(configure):
    overrides = ["data.level=hard", "boxes=[gt]", "data.prepare.train=4", "data.prepare.val=2"]
    assert fit(prepare(configure(*overrides), "backbone"))["config"]["data"]["name"] == "synthetic-hard"


def test_no_config_file_is_long():
    # Recipes are lists, a line for each, of five papers; a skeleton of many joints names them all.
    files = [path for path in CONF.rglob("*.yaml") if path.parent.name != "recipes"]
    texts = {path.name: re.sub(r"^skeleton:\n(  .*\n)+", "", path.read_text(), flags=re.M) for path in files}
    assert not {name: n for name, text in texts.items() if (n := len(text.splitlines())) > 28}
