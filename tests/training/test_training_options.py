"""Averages of weights, clipped gradients, early stopping and micro-batches in whole runs."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf

from poserep.config import cpu_precision
from poserep.errors import Stopped
from poserep.runs.create import prepare
from poserep.runs.rundir import RunDir
from poserep.training import fit as fitting
from poserep.training.averaged_weights import TRAINED
from poserep.training.checkpoint_on_stop import CheckpointOnStop
from poserep.training.early_stopping import EarlyStopping
from poserep.training.evaluate import configure as reconfigure
from poserep.training.evaluate import reevaluate
from poserep.training.fit import fit
from poserep.training.module import PoseModule
from poserep.training.trainer import precision_notes
from tiny_backbone import on_tiny_backbone

# Of eight persons in batches of four; after one epoch no AP is better than 0.
RUN = ["representation=simcc", "optim.lr=1e-2", "trainer.epochs=6", "boxes=[gt]", "flip_test=false"]
OPTIONS = ["trainer.micro_batch=2", "trainer.clip=0.1", "trainer.ema=0.9", "trainer.patience=1"]


def checkpoint(run_dir: RunDir) -> dict:
    return torch.load(run_dir.checkpoint("last"), weights_only=True)


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_run_with_all_options_that_was_stopped_twice_ends_as_one_that_was_not(
    configure, monkeypatch, tmp_path, capsys
):
    configs = (configure(*RUN, *OPTIONS, f"runs={tmp_path}/{name}") for name in "ab")
    whole, broken = (prepare(on_tiny_backbone(cfg, "TinyNormed"), "backbone") for cfg in configs)
    norms, weights = [], []
    on_train_batch_start, on_train_batch_end = PoseModule.on_train_batch_start, CheckpointOnStop.on_train_batch_end

    def weights_of(module):
        return {key: value.clone() for key, value in module.state_dict().items()}

    def start(self, *arguments):
        weights.extend([] if weights else [weights_of(self)])
        on_train_batch_start(self, *arguments)

    def step(self, trainer, module, *arguments):
        norms.append(torch.cat([p.grad.flatten() for p in module.parameters()]).norm().item())
        weights.append(weights_of(module))
        if len(norms) == 7:
            self.request.ask("SIGTERM")
        on_train_batch_end(self, trainer, module, *arguments)

    def fail(*_):
        raise RuntimeError("power cut")

    monkeypatch.setattr(PoseModule, "on_train_batch_start", start)
    monkeypatch.setattr(CheckpointOnStop, "on_train_batch_end", step)
    expected = fit(whole)
    said = capsys.readouterr().out
    assert "micro-batches of 2, which are all that a batch norm sees, gradient norm at most 0.1, EMA 0.9" in said
    assert len(norms) == 4 and max(norms) == pytest.approx(0.1, rel=1e-4), "two steps in each of two epochs"
    assert expected["epochs"] == 2 and [row["epoch"] for row in whole.curve()] == [0, 1, 2]
    kept, average = checkpoint(whole), weights[0]
    for n, now in enumerate(weights[1:], 1):
        towards = 1 - min(0.9, (1 + n) / (10 + n))
        average = {k: v.lerp(now[k], towards) if v.is_floating_point() else now[k] for k, v in average.items()}
    assert same(kept[TRAINED], weights[4]) and not same(kept["state_dict"], weights[4])
    for key, value in average.items():
        torch.testing.assert_close(kept["state_dict"][key], value, rtol=1e-5, atol=1e-7)
    assert reevaluate(whole, reconfigure(whole, []))["metrics"] == expected["metrics"]

    with pytest.raises(Stopped):
        fit(broken)
    assert len(norms) == 7, "within the second epoch"
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power cut"):
        patch.setattr(fitting, "evaluate", fail)
        fit(broken)
    assert fit(broken)["metrics"] == expected["metrics"] and len(norms) == 8
    assert broken.result()["epochs"] == 2 and [row["epoch"] for row in broken.curve()] == [0, 1, 2]
    assert broken.predictions_file().read_bytes() == whole.predictions_file().read_bytes()
    for key in ("state_dict", TRAINED):
        assert same(checkpoint(broken)[key], kept[key])
    assert broken.result()["speed"]["img_s"] > 0


@pytest.mark.parametrize(
    ("patience", "lower", "values", "end"),
    [
        (2, False, [1, 3, 2, 3], 3),
        (2, False, [1, 3, 2, 4, 4], None),
        (1, False, [1, 2, 2], 2),
        (2, True, [1, 3, 2], 2),
        (2, True, [3, 2, 1, 0], None),
        (3, False, [float("nan"), 1, float("nan"), 0, 0], 4),
    ],
)
def test_training_ends_when_the_chief_metric_is_no_better(patience, lower, values, end):
    module = object.__new__(PoseModule)
    scores = {}
    vars(module).update(
        scorers={"gt": SimpleNamespace(columns=("m",), lower={"m"} if lower else set())},
        boxes=["gt"],
        readouts=["r"],
        scored={"gt": {"r": SimpleNamespace(scores=SimpleNamespace(values=scores))}},
    )
    trainer, stopping = SimpleNamespace(should_stop=False), EarlyStopping(patience)
    for epoch, value in enumerate(values):
        trainer.current_epoch, scores["m"] = epoch, value
        # As a run that is resumed after each epoch.
        resumed = EarlyStopping(patience)
        resumed.load_state_dict(stopping.state_dict())
        stopping = resumed
        stopping.on_validation_end(trainer, module)
        assert trainer.should_stop == (epoch == end)
    again = SimpleNamespace(should_stop=False)
    stopping.on_fit_start(again, module)
    assert again.should_stop == (end is not None)


def test_numbers_that_a_job_system_gives_a_single_process_change_nothing(configure, monkeypatch):
    for name in ("RANK", "SLURM_PROCID"):
        monkeypatch.setenv(name, "3")
    monkeypatch.setattr(rank_zero_only, "rank", 3)
    run_dir = prepare(on_tiny_backbone(configure("boxes=[gt]", "flip_test=false")), "backbone")
    fit(run_dir)
    assert run_dir.finished and [row["epoch"] for row in run_dir.curve()] == [0, 1]


@pytest.mark.parametrize("flags, precision", [("avx512f avx512_bf16", "bf16-mixed"), ("avx2 fma", "32-true")])
def test_a_cpu_trains_in_half_precision_where_it_has_bfloat16(flags, precision, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : fpu {flags}\n")
    monkeypatch.setattr("poserep.config.CPU_FACTS", tmp_path / "cpuinfo")
    assert cpu_precision() == precision
    monkeypatch.setattr("poserep.training.trainer.CPU_FACTS", tmp_path / "cpuinfo")
    monkeypatch.setattr("poserep.training.trainer.cpu_precision", cpu_precision)
    asked = OmegaConf.create({"accelerator": "cpu", "precision": "bf16-mixed"})
    notes = precision_notes(asked)
    assert not notes if precision == "bf16-mixed" else "bf16-mixed is slow on this processor" in notes[0]
    assert not precision_notes(OmegaConf.create({"accelerator": "cpu", "precision": "32-true"}))
    monkeypatch.setattr("poserep.config.CPU_FACTS", tmp_path / "nothing, as on macOS")
    assert cpu_precision() == "32-true"
