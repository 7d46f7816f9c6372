"""A training that is stopped within an epoch continues there."""

import pytest
import torch

from poserep.errors import Stopped
from poserep.runs.create import prepare
from poserep.runs.lease import holder
from poserep.training.fit import fit
from poserep.training.stop_on_signal import StopOnSignal


def weights(run_dir):
    return torch.load(run_dir.checkpoint("last"), weights_only=True)["state_dict"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_stopped_within_an_epoch_continues_there(configure, monkeypatch, tmp_path, workers):
    # Layers are dropped at random: what is random follows from the step, not from what ran before.
    overrides = ["+backbone.options={drop_path_rate:0.2}", "representation=simcc", "trainer.epochs=2"]
    overrides += ["trainer.batch=2", f"trainer.workers={workers}", "boxes=[gt]"]
    whole = prepare(configure(*overrides, f"runs={tmp_path}/whole"), "backbone")
    expected = fit(whole)
    stopped = prepare(configure(*overrides, f"runs={tmp_path}/stopped"), "backbone")
    steps = []
    on_train_batch_end = StopOnSignal.on_train_batch_end

    def asked_in_the_sixth(self, *arguments):
        steps.append(arguments[-1])
        if len(steps) == 6:
            self.request.ask("SIGTERM")
        on_train_batch_end(self, *arguments)

    monkeypatch.setattr(StopOnSignal, "on_train_batch_end", asked_in_the_sixth)
    with pytest.raises(Stopped):
        fit(stopped)
    assert stopped.status()["state"] == "stopped" and holder(stopped.path) is None
    result = fit(stopped)
    # Four steps an epoch: the second of the second epoch was the sixth of all.
    assert steps == [0, 1, 2, 3, 0, 1, 2, 3]
    assert result["metrics"] == expected["metrics"]
    a, b = weights(whole), weights(stopped)
    assert all((a[key] == b[key]).all() for key in a)
    assert [row["epoch"] for row in stopped.curve()] == [row["epoch"] for row in whole.curve()]
