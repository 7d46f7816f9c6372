"""A training that fails or is stopped, with any number of workers, ends as one that ran through with another."""

import multiprocessing
import shutil

import pytest
import torch

from poserep.errors import Stopped
from poserep.runs.create import prepare
from poserep.runs.lease import holder
from poserep.runs.rundir import RunDir
from poserep.training.checkpoint_on_stop import CheckpointOnStop
from poserep.training.checkpoints import LAST, PREVIOUS, KeptCheckpoints
from poserep.training.fit import fit
from poserep.training.module import PoseModule

# Layers are dropped at random: what is random follows from the step, not from what ran before.
RUN = [
    "+backbone.options={drop_path_rate:0.2}", "representation=simcc", "augment=photometric", "optim.lr=1e-2",
    "trainer.epochs=2", "trainer.batch=2", "boxes=[gt]",
]  # fmt: skip


def weights(run_dir):
    return torch.load(run_dir.checkpoint("last"), weights_only=True)["state_dict"]


def test_no_loader_process_outlives_a_stop_in_validation(configure, monkeypatch):
    def stop(*_):
        raise Stopped("SIGTERM")

    monkeypatch.setattr(CheckpointOnStop, "on_validation_batch_end", stop)
    with pytest.raises(Stopped):
        fit(prepare(configure(*RUN, "trainer.workers=1", "trainer.epochs=1"), "backbone"))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_failed_between_epochs_and_was_stopped_within_one_ends_as_one_that_was_not(
    configure, monkeypatch, tmp_path, workers
):
    whole, broken = (
        prepare(configure(*RUN, f"runs={tmp_path}/{count}", f"trainer.workers={count}"), "backbone")
        for count in (2, workers)
    )
    assert whole.name == broken.name, "the number of workers changes nothing"
    expected, steps = fit(whole), []
    on_train_epoch_start, on_train_batch_end = PoseModule.on_train_epoch_start, CheckpointOnStop.on_train_batch_end

    def fail_in_the_second_epoch(self):
        if self.current_epoch == 1:
            raise RuntimeError("power cut")
        on_train_epoch_start(self)

    def ask_in_the_sixth_step(self, *arguments):
        steps.append(arguments[-1])
        if len(steps) == 6:
            self.request.ask("SIGTERM")
        on_train_batch_end(self, *arguments)

    monkeypatch.setattr(CheckpointOnStop, "on_train_batch_end", ask_in_the_sixth_step)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="power cut"):
        patch.setattr(PoseModule, "on_train_epoch_start", fail_in_the_second_epoch)
        fit(broken)
    status = broken.status()
    assert status["state"] == "failed" and "power cut" in status["error"] and not broken.finished
    torch.manual_seed(123)
    with pytest.raises(Stopped):
        fit(broken)
    assert broken.status()["state"] == "stopped" and holder(broken.path) is None
    assert fit(broken)["metrics"] == expected["metrics"]
    assert broken.predictions_file().read_bytes() == whole.predictions_file().read_bytes()
    # Four steps an epoch: the second of the second epoch was the sixth of all.
    assert steps == [0, 1, 2, 3, 0, 1, 2, 3]
    for (name, a), b in zip(weights(whole).items(), weights(broken).values(), strict=True):
        assert torch.equal(a, b), name
    # The third line is the evaluation after training.
    assert [row["epoch"] for row in broken.curve()] == [row["epoch"] for row in whole.curve()] == [0, 1, 2]


def test_checkpoints_that_cannot_be_read_are_named_and_passed_over(configure, tmp_path, capsys):
    whole = prepare(configure(*RUN, f"runs={tmp_path}/whole"), "backbone")
    expected = fit(whole)
    for damaged in ([LAST], [LAST, PREVIOUS]):
        again = RunDir(shutil.copytree(whole.path, tmp_path / f"{len(damaged)}" / whole.name))
        again.result_file().unlink()
        again.status_file.unlink()
        for name in damaged:
            content = again.checkpoint(name).read_bytes()
            again.checkpoint(name).write_bytes(content[: len(content) // 2])
        capsys.readouterr()
        assert fit(again)["metrics"] == expected["metrics"]
        said = capsys.readouterr()
        assert [f"{name}.ckpt cannot be read" in said.err for name in (LAST, PREVIOUS)] == [True, len(damaged) == 2]
        assert (", resumed" in said.out) == (len(damaged) == 1)
        assert all(torch.equal(a, b) for a, b in zip(weights(whole).values(), weights(again).values(), strict=True))


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path):
    files = KeptCheckpoints()
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    for epoch in range(3):
        files.save_checkpoint({"epoch": epoch}, last)
        assert torch.load(last) == {"epoch": epoch} and previous.exists() == (epoch > 0)
    with pytest.raises(AttributeError):
        files.save_checkpoint({"epoch": lambda: 3}, last)
    assert [torch.load(path)["epoch"] for path in (last, previous)] == [2, 1]
    assert len(list(tmp_path.iterdir())) == 2
