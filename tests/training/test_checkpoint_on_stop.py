"""A training that fails or is stopped, with any number of workers, ends as one that ran through with another."""

import pytest
import torch

from poserep.errors import Stopped
from poserep.runs.create import prepare
from poserep.runs.lease import holder
from poserep.training.checkpoint_on_stop import CheckpointOnStop
from poserep.training.fit import fit
from poserep.training.module import PoseModule

# Layers are dropped at random: what is random follows from the step, not from what ran before.
RUN = [
    "+backbone.options={drop_path_rate:0.2}", "representation=simcc", "augment=photometric", "optim.lr=1e-2",
    "trainer.epochs=2", "trainer.batch=2", "boxes=[gt]",
]  # fmt: skip


def weights(run_dir):
    return torch.load(run_dir.checkpoint("last"), weights_only=True)["state_dict"]


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
