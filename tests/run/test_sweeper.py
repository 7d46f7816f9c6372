"""Sweeps that are killed, stopped, shared, or have cells that fail."""

import json
import os
import random
import shutil
import signal
import time

import pytest
import torch
from hydra.core.utils import JobReturn, JobStatus
from poserep.training.stop import Stop
from sweeping import Sweep, kill, until

from poserep.errors import Stopped
from poserep.runs.create import prepare
from poserep.runs.lease import holder
from poserep.runs.records import read_curve
from poserep.sweeps.sweeper import RowSweeper
from poserep.training.fit import fit

SCHEMES = ["heatmap", "simcc", "sr", "ipr", "simcc_equal", "heatmap_unbiased"]


@pytest.fixture
def sweep(synthetic, tmp_path):
    def make(*rows, **options):
        return Sweep(tmp_path, synthetic, list(rows), **options)

    return make


@pytest.mark.long
def test_a_sweep_killed_ten_times_ends_as_one_that_was_not(synthetic, tmp_path):
    rows = [f"representation={name}, readouts=null" for name in SCHEMES]
    made = {}
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        made[name] = Sweep(tmp_path / name, synthetic, rows, trainer="epochs: 4, batch: 2")
    done = made["whole"].run()
    assert done.returncode == 0, done.stderr
    draw, said = random.Random(0), ""
    for _ in range(10):
        process = made["killed"].begin()
        # Anywhere from composing to the evaluation of the second cell.
        time.sleep(draw.uniform(2, 16))
        said += kill(process)
    done = made["killed"].run()
    assert done.returncode == 0, done.stderr
    assert "resumed" in said + done.stdout, "not all of them came before anything had been saved"
    whole, killed = made["whole"], made["killed"]
    assert len(whole.results()) == 6 and list(killed.results()) == list(whole.results()), "every cell once"
    assert [r["metrics"] for r in killed.results().values()] == [r["metrics"] for r in whole.results().values()]
    assert killed.predictions() == whole.predictions(), "byte for byte"
    assert not list(killed.study.glob("*/lease.*")) and not list(killed.study.glob(".stop.*"))
    assert {s["state"] for s in killed.states().values()} == {"finished"}


@pytest.mark.slow
def test_cells_that_fail_are_recorded_with_their_cause_and_the_others_finish(sweep):
    mishaps = ("raises", "diverges", "exhausts", "is_killed", "fails_once")
    rows = [f"'optim.schedule={{_target_:mishaps.{name},_partial_:true}}'" for name in mishaps]
    tiny = sweep(*rows, "input_size=60x60", "representation=simcc")
    done = tiny.run()
    assert done.returncode == 1
    causes = {
        "raises": "RuntimeError: a bug of the cell",
        "diverges": "loss is not finite in epoch 0",
        "exhausts": "OutOfMemoryError: CUDA out of memory",
        "is_killed": "killed by SIGKILL; was the machine out of memory?",
    }
    assert "5 of 7 cells failed" in done.stderr and "multiple of 8" in done.stderr
    for cause in causes.values():
        assert cause in done.stderr
    assert len(tiny.results()) == 2, "the sound one, and the one that failed once"
    failed, shown = tiny.status()
    assert failed == 5 and shown.endswith("7 cells, 2 finished, 5 failed\n")
    lines = shown.splitlines()
    for number, name in enumerate(causes):
        (line,) = [line for line in lines if f"[row {number}]" in line]
        assert line.startswith("failed") and causes[name] in line
    # Bad input is not tried again, what may have been bad luck is, once.
    assert done.stdout.count("60x60-s0") == 1 and done.stderr.count("a bug of the cell") >= 2


@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on(synthetic, tmp_path):
    """The test of ten kills in small."""
    made = {}
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        made[name] = Sweep(tmp_path / name, synthetic, ["representation=simcc"], trainer="epochs: 16, batch: 2")
    whole, killed = made["whole"], made["killed"]
    assert whole.run().returncode == 0
    process = killed.begin()
    until(process, "epoch 3/16")
    kill(process)
    assert "died without a word" in killed.status()[1] and not killed.results()
    done = killed.run()
    assert done.returncode == 0 and "resumed" in done.stdout, done.stderr
    assert "epoch 2/16" not in done.stdout, "it goes on from the last whole epoch"
    ((_, a),), ((_, b),) = whole.results().items(), killed.results().items()
    assert a["metrics"] == b["metrics"] and whole.predictions() == killed.predictions()


@pytest.mark.slow
def test_processes_of_a_cell_save_when_a_scheduler_says_that_time_is_up(sweep):
    tiny = sweep("representation=simcc", trainer="epochs: 400, devices: 2, batch: 4")
    process = tiny.begin()
    until(process, "epoch 2/400")
    # As SLURM does: every process of the job hears of it.
    os.killpg(process.pid, signal.SIGUSR2)
    said = process.communicate()[0]
    assert process.returncode == 75, said
    (status,) = tiny.states().values()
    assert status["state"] == "stopped" and len(list(tiny.study.glob("*/checkpoints/last.ckpt"))) == 1
    assert not list(tiny.study.glob("*/lease.*")), "nobody is left behind"


def broken(tmp_path, jobs):
    """A sweeper whose launcher does as it is told, and what `_run` says of two cells."""
    sweeper = RowSweeper(retries=1)
    begun = []

    class Launcher:
        def launch(self, overrides, initial_job_idx):
            begun.append(len(overrides))
            return jobs()

    sweeper.launcher = Launcher()
    return sweeper._run(tmp_path, {"a": [], "b": []}, tmp_path / "stop"), begun


def failed(error):
    job = JobReturn()
    job.status, job.return_value = JobStatus.FAILED, error
    return job


def test_what_goes_wrong_around_a_run_is_its_cause(tmp_path):
    causes, begun = broken(tmp_path, lambda: [failed(OSError("disk full"))] * 2)
    assert causes == {"a": "OSError: disk full", "b": "OSError: disk full"} and begun == [2, 2]
    assert json.loads((tmp_path / "a" / "status.json").read_text())["error"] == "OSError: disk full"


def test_a_launcher_that_breaks_down_is_not_asked_for_ever(tmp_path):
    def down():
        raise RuntimeError("no workers")

    causes, begun = broken(tmp_path, down)
    assert causes == dict.fromkeys("ab", "the process ended without recording a cause") and begun == [2, 2]


def test_a_table_without_its_files_says_so_at_once(sweep, tmp_path):
    wanted = tmp_path / "resnet18.pth"
    rows = [f"backbone.weights={wanted}, trainer.pretrained=true, trainer.batch={n}" for n in (2, 3, 4)]
    tiny = sweep(*rows)
    done = tiny.run("hydra.sweeper.rows=['row [02]']")
    assert done.returncode == 1 and "run: " not in done.stdout
    assert f"missing: {wanted}, which 2 of 2 cells need\n" in done.stderr and "docs/tables.md" in done.stderr
    failed, shown = tiny.status()
    assert failed == 2 and shown.count(f"there is no {wanted}") == 2


def test_a_table_that_is_refused_asks_for_nothing(sweep):
    tiny = sweep("representation=simcc", "representation=simc")
    done = tiny.run()
    assert done.returncode == 2 and "row 'row 1': no representation 'simc'; did you mean simcc?" in done.stderr
    assert not tiny.study.exists()


@pytest.mark.slow
def test_a_sweep_that_is_interrupted_says_no_more_than_that(sweep):
    tiny = sweep("representation=simcc", trainer="epochs: 400")
    process = tiny.begin()
    until(process, "epoch 2/400")
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate()[0]
    assert process.returncode == 75 and "Traceback" not in said, said
    assert "stopped by Ctrl-C; the same command goes on" in said and "1 stopped" in tiny.status()[1]
    (file,) = tiny.study.glob(".stop.*")
    assert file.read_text(), "cells that a scheduler has yet to begin find it"


@pytest.mark.slow
def test_fail_fast_begins_nothing_more(sweep):
    tiny = sweep("input_size=60x60", "representation=simcc")
    done = tiny.run("hydra.sweeper.fail_fast=true")
    assert done.returncode == 1 and "1 of 2 cells failed" in done.stderr
    assert tiny.results() == {} and "1 failed, 1 waiting" in tiny.status()[1]


@pytest.mark.slow
def test_two_launchers_share_a_table(sweep):
    tiny = sweep(*[f"representation={name}, readouts=null" for name in SCHEMES[:2]])
    both = [tiny.begin() for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len(tiny.results()) == 2
    assert all("2 cells, " in text and text.endswith("2 finished\n") for text in said)
    assert sum(text.count("epoch 1/1") for text in said) == 2, "each cell was trained by one"


@pytest.mark.slow
def test_a_cell_of_another_table_is_not_run_again(sweep):
    first, second = sweep("representation=simcc", name="first"), sweep("representation=simcc", name="second")
    assert first.run().returncode == 0
    done = second.run()
    assert done.returncode == 0 and "finished before, as runs/first/simcc" in done.stdout
    assert list(second.results().values()) == list(first.results().values())
    # Without the other table it is a run like any other.
    shutil.rmtree(first.study)
    assert "1 waiting" in second.status()[1]
    assert second.run().returncode == 0 and len(second.results()) == 1


@pytest.mark.slow
def test_a_sweep_whose_time_is_up_saves_and_is_queued_again(sweep, tmp_path):
    tiny = sweep("representation=simcc", "representation=sr", trainer="epochs: 400")
    # A scheduler that notes what it is told.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "scontrol").write_text(f"#!/bin/sh\necho $@ > {tmp_path}/told\n")
    (tmp_path / "bin" / "scontrol").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{tiny.environment['PATH']}"
    process = tiny.begin(SLURM_JOB_ID="77", PATH=path)
    until(process, "epoch 2/400")
    process.send_signal(signal.SIGUSR1)
    said = process.communicate()[0]
    assert process.returncode == 75, said
    assert "stopped by SIGUSR1; the same command goes on" in said
    (status,) = tiny.states().values()
    assert status["state"] == "stopped" and status["why"] in ("SIGUSR1", "whoever started it was told to stop")
    assert "1 stopped, 1 waiting" in tiny.status()[1]
    assert len(list(tiny.study.glob("*/checkpoints/last.ckpt"))) == 1
    assert (tmp_path / "told").read_text() == "requeue 77\n"


def weights(run_dir):
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_stopped_within_an_epoch_goes_on_there(configure, monkeypatch, tmp_path, workers):
    # Layers that are left out at random: what is random follows from the step, not from what ran before.
    overrides = ["+backbone.options={drop_path_rate:0.2}", "representation=simcc", "trainer.epochs=3"]
    overrides += ["trainer.batch=2", f"trainer.workers={workers}", "boxes=[gt]"]
    whole = prepare(configure(*overrides, f"runs={tmp_path}/whole"), "backbone")
    expected = fit(whole)
    stopped = prepare(configure(*overrides, f"runs={tmp_path}/stopped"), "backbone")
    steps = []
    end = Stop.on_train_batch_end

    def asked_in_the_sixth(self, *arguments):
        steps.append(arguments[-1])
        if len(steps) == 6:
            self.request.ask("SIGTERM")
        end(self, *arguments)

    monkeypatch.setattr(Stop, "on_train_batch_end", asked_in_the_sixth)
    with pytest.raises(Stopped):
        fit(stopped)
    assert json.loads((stopped / "status.json").read_text())["state"] == "stopped" and holder(stopped) is None
    found = fit(stopped)
    # Four steps an epoch: the second of the second epoch was the sixth of all.
    assert steps == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]
    assert found["metrics"] == expected["metrics"]
    a, b = weights(whole), weights(stopped)
    assert all((a[key] == b[key]).all() for key in a)
    assert [row["epoch"] for row in read_curve(stopped)] == [row["epoch"] for row in read_curve(whole)]
