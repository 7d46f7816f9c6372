"""Sweeps that are killed, stopped, shared, or have cells that fail."""

import os
import random
import shutil
import signal
import time

import pytest
from hydra.core.utils import JobReturn, JobStatus
from sweeping import Sweep, kill, schedule

from poserep import cli
from poserep.runs.plan import Cell, remember
from poserep.runs.rundir import RunDir, runs_in
from poserep.sweeps.composition import SharedComposition
from poserep.sweeps.sweeper import RowSweeper
from poserep.training.fit import fit
from run_records import config, write

SCHEMES = ["heatmap", "simcc", "sr", "ipr", "simcc_equal", "heatmap_unbiased"]


def test_cells_that_fail_are_recorded_with_their_cause_and_the_others_finish(sweep, status, capfd):
    causes = {
        "raises": "a bug of the cell",
        "diverges": "loss is not finite in epoch 0",
        "is_killed": "killed by SIGKILL; was the machine out of memory?",
        "refuses": "input_size=60x60 must be a multiple of 8",
    }
    tiny = sweep(*map(schedule, [*causes, "fails_once"]), "seed=1", trainer="epochs: 1")
    assert tiny.main() == 1
    out, err = capfd.readouterr()
    assert "4 of 6 cells failed" in err and len(tiny.results()) == 2, "the sound one, and the one that failed once"
    code, lines = status(tiny)
    assert code == 1 and lines[-1].endswith("6 cells, 2 finished, 4 failed")
    for number, cause in enumerate(causes.values()):
        assert cause in err
        (line,) = [line for line in lines if f"[row {number}]" in line]
        assert line.startswith("failed") and cause in line
    assert out.count("begun") == 10, "refused input is not tried again; what may have been bad luck is, once"


def test_fail_fast_begins_nothing_more(sweep, status):
    tiny = sweep(schedule("refuses"), "representation=simcc")
    assert tiny.main("hydra.sweeper.fail_fast=true") == 1
    assert tiny.results() == {} and "1 failed, 1 waiting" in status(tiny)[1][-1]


def test_a_cell_of_another_table_is_not_run_again(sweep, status, capfd):
    first, second = sweep("representation=simcc", name="first"), sweep("representation=simcc", name="second")
    assert first.main() == 0 and second.main() == 0
    assert "finished before, as runs/first/simcc" in capfd.readouterr().out
    assert second.results() == first.results()
    # Without the other table it is a run like any other.
    shutil.rmtree(first.study)
    assert "1 waiting" in status(second)[1][-1]
    assert second.main() == 0 and len(second.results()) == 1


def test_a_group_on_the_command_line_replaces_all_that_rows_say_in_it(sweep):
    tiny = sweep("optim.lr=0.5, optim.rule=none", "optim.lr=0.25, seed=1")
    assert tiny.main("optim=one_cycle") == 0
    found = {run.config()["seed"]: run.config()["optim"] for run in runs_in(tiny.study)}
    found = {seed: (optim["lr"], optim["rule"]) for seed, optim in found.items()}
    assert found == dict.fromkeys((0, 1), (2e-3, "linear"))


def test_cells_that_share_files_are_what_hydra_composes(sweep, monkeypatch, capfd):
    rows = [
        "flip_test=no, representation=simcc",
        "+representation.codec.score_threshold=0, optim.lr=1",
        "seed=3, augment=flip",
    ]
    rows += ["representation.codec.label.sigma=3, representation=simcc, 'boxes=[gt]'", "align=edge, trainer.limit=null"]
    monkeypatch.setattr(RowSweeper, "_run", lambda self, run_dirs, failed, stop_file: {})
    found = []
    for number, sets_a_value in enumerate((SharedComposition.sets_a_value, lambda self, word: False)):
        monkeypatch.setattr(SharedComposition, "sets_a_value", sets_a_value)
        tiny = sweep(*rows, name=f"tiny-{number}")
        tiny.main("seed=0,1", "trainer.epochs=2", "~logger")
        found.append({run.name: {**run.config(), "study": ""} for run in runs_in(tiny.study)})
    assert found[0] == found[1] and len(found[0]) == 10
    capfd.readouterr()
    for word, message in {"seed=abc": "seed=abc", "augment.typo=1": "no key augment.typo"}.items():
        assert sweep(word, name="wrong").main() == 2 and message in capfd.readouterr().err


def test_a_table_without_its_files_says_so_at_once(sweep, status, tmp_path, capfd):
    weights = tmp_path / "resnet18.pth"
    rows = [f"backbone.weights={weights}, trainer.pretrained=true, trainer.batch={n}" for n in (2, 3, 4)]
    tiny = sweep(*rows)
    assert tiny.main("hydra.sweeper.rows=['row [02]']") == 1
    out, err = capfd.readouterr()
    assert "run: " not in out and f"missing: {weights}, which 2 of 2 cells need\n" in err and "docs/tables.md" in err
    code, lines = status(tiny)
    assert code == 1 and "\n".join(lines).count(f"there is no {weights}") == 2
    assert err.count("there is no") == 1 and f" and 1 more: there is no {weights}\n" in err


def test_any_study_has_a_status_and_settings_have_totals(sweep, tmp_path, capfd):
    study = tmp_path / "runs" / "search"

    def status(name="search"):
        capfd.readouterr()
        code = cli.main(["sweep", "status", name])
        out, err = capfd.readouterr()
        return code, (out or err).splitlines()

    for name, ap in (("run-0", 50.0), ("run-1", None)):
        write(study, name, config(), [], ap)
    assert status() == (0, ["finished  run-0", "waiting   run-1", "runs/search: 2 runs, 1 finished, 1 waiting"])
    assert status("serch") == (2, ["error: runs/serch holds no runs; did you mean search?"])
    assert status("xyzzy") == (2, ["error: runs/xyzzy holds no runs; make help lists the tables"])
    remember(study, "run-0", Cell((), ("a row",)))
    remember(study, "run-1", Cell((), ("a row",), ("trainer=smoke",)))
    totals = ["rows as they are: 1 cells, 1 finished", "rows with trainer=smoke: 1 cells, 1 waiting"]
    assert status()[1][2:] == [*totals, "runs/search: 2 cells, 1 finished, 1 waiting"]


def test_finished_runs_of_a_table_are_shown_by_a_command(sweep, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_MODE", "offline")
    tiny = sweep("representation=simcc", trainer="epochs: 1")
    for shown in (False, True):
        assert tiny.main("logger=wandb", "logger.project=mine") == 0
        line = "W&B: runs that had finished before are shown by poserep wandb push tiny --project mine\n"
        assert (line in capfd.readouterr().out) == shown


def test_a_table_that_is_refused_asks_for_nothing(sweep, capfd):
    tiny = sweep("representation=simcc", "representation=simc")
    assert tiny.main() == 2
    assert "row 'row 1': no representation 'simc'; did you mean simcc?" in capfd.readouterr().err
    assert not tiny.study.exists()


class StubLauncher:
    """A launcher whose jobs end as it is told."""

    def __init__(self, outcome):
        self.outcome, self.begun = outcome, []

    def launch(self, overrides, initial_job_idx):
        self.begun.append(len(overrides))
        if isinstance(self.outcome, RuntimeError):
            raise self.outcome
        job = JobReturn()
        job.status, job.return_value = JobStatus.FAILED, self.outcome
        return [job] * len(overrides)


def test_what_goes_wrong_around_a_run_is_its_cause_and_is_not_tried_for_ever(tmp_path):
    for outcome, cause in (
        (OSError("disk full"), "OSError: disk full"),
        (RuntimeError("the launcher broke down"), "the process ended without reporting a cause"),
    ):
        sweeper = RowSweeper(retries=1, fail_fast=False, rows=[], worker="")
        sweeper.launcher = StubLauncher(outcome)
        runs = [RunDir(tmp_path / type(outcome).__name__ / name) for name in "ab"]
        assert sweeper._run(runs, {}, tmp_path / "stop") == {"a": cause, "b": cause}
        assert sweeper.launcher.begun == [2, 2]
        assert runs[0].status().get("error", cause) == cause


def test_a_killed_sweep_continues_and_two_launchers_share_one(sweep, status):
    tiny = sweep("seed=0", "seed=1", trainer="epochs: 60")
    process = tiny.begin(until="epoch 2/60")
    kill(process)
    stopped, _, total = status(tiny)[1]
    assert "the process ended without reporting a cause, 2 of 60 epochs" in stopped and "1 stopped, 1 waiting" in total
    both = [tiny.begin() for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert all(text.endswith("2 finished\n") for text in outputs)
    together = "".join(outputs)
    assert together.count("resumed") == 1 and together.count("epoch 3/60") == 2, "each epoch is trained by one"
    assert not list(tiny.study.glob("*/lease.*")) and not list(tiny.study.glob(".stop.*"))


def test_a_sweep_that_is_stopped_saves_and_is_queued_again(sweep, status, tmp_path):
    tiny = sweep("seed=0", "seed=1", trainer="epochs: 4000")
    # A scheduler that records how it is called.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "scontrol").write_text(f"#!/bin/sh\necho $@ > {tmp_path}/called\n")
    (tmp_path / "bin" / "scontrol").chmod(0o755)
    process = tiny.begin(SLURM_JOB_ID="77", PATH=f"{tmp_path / 'bin'}:{tiny.environment['PATH']}", until="epoch 2/4000")
    process.send_signal(signal.SIGUSR1)
    output = process.communicate()[0]
    assert process.returncode == 75 and "stopped (SIGUSR1); run the same command again" in output, output
    (state,) = tiny.states().values()
    why = ("SIGUSR1", "the sweep or launcher that started it was stopped")
    assert state["state"] == "stopped" and state["why"] in why
    assert "1 stopped, 1 waiting" in status(tiny)[1][-1] and len(list(tiny.study.glob("*/checkpoints/*"))) == 1
    assert (tmp_path / "called").read_text() == "requeue 77\n"


def test_a_sweep_that_is_interrupted_says_no_more_than_that(sweep, status):
    tiny = sweep("seed=0", trainer="epochs: 4000")
    process = tiny.begin(until="epoch 2/4000")
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate()[0]
    assert process.returncode == 75 and "Traceback" not in output, output
    assert "stopped (Ctrl-C)" in output and "1 stopped" in status(tiny)[1][-1]
    (file,) = tiny.study.glob(".stop.*")
    assert file.read_text(), "cells that a scheduler has yet to begin find it"


@pytest.mark.slow
def test_a_real_cell_that_is_killed_continues_from_its_last_epoch(synthetic, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    # As in this process: a sum over several threads differs in its last bit.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    tiny = Sweep(tmp_path, ["representation=simcc"], trainer="epochs: 8, batch: 2", data=synthetic)
    process = tiny.begin(until="epoch 3/8")
    kill(process)
    assert tiny.main() == 0
    output = capfd.readouterr().out
    assert "resumed" in output and "epoch 2/8" not in output
    whole = RunDir(tmp_path / "whole" / tiny.only().name)
    whole.write_config(tiny.only().config_file.read_text())
    assert fit(whole)["metrics"] == tiny.only().result()["metrics"]
    assert whole.predictions_file().read_bytes() == tiny.only().predictions_file().read_bytes()


@pytest.mark.slow
def test_real_ranks_save_when_a_scheduler_says_that_time_is_up(synthetic, tmp_path):
    tiny = Sweep(tmp_path, ["representation=simcc"], trainer="epochs: 400, devices: 2, batch: 4", data=synthetic)
    process = tiny.begin(until="epoch 2/400")
    # As SLURM does: every process of the job is signalled.
    os.killpg(process.pid, signal.SIGUSR2)
    output = process.communicate()[0]
    assert process.returncode == 75, output
    assert tiny.only().status()["state"] == "stopped" and tiny.only().checkpoint("last").is_file()
    assert not list(tiny.study.glob("*/lease.*")), "no process is left behind"


@pytest.mark.long
def test_a_sweep_killed_ten_times_ends_as_one_that_was_not(synthetic, tmp_path):
    rows = [f"representation={name}, readouts=null" for name in SCHEMES[::2]]
    made = {}
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        made[name] = Sweep(tmp_path / name, rows, trainer="epochs: 4, batch: 2", data=synthetic)
    begun = time.monotonic()
    assert made["whole"].run()[0] == 0
    cell = (time.monotonic() - begun) / len(rows)
    process = made["killed"].begin(until="epoch 3/4")
    printed = kill(process)
    draw = random.Random(0)
    for _ in range(9):
        process = made["killed"].begin()
        # Anywhere from composing to the second cell, on a machine of any speed.
        time.sleep(draw.uniform(0.2, 1.5) * cell)
        printed += kill(process)
    code, output = made["killed"].run()
    assert code == 0, output
    assert "resumed" in printed + output, "not all of them came before anything had been saved"
    whole, killed = made["whole"], made["killed"]
    assert len(whole.results()) == len(rows) and list(killed.results()) == list(whole.results()), "every cell once"
    assert [r["metrics"] for r in killed.results().values()] == [r["metrics"] for r in whole.results().values()]
    assert killed.predictions() == whole.predictions(), "byte for byte"
    assert not list(killed.study.glob("*/lease.*")) and not list(killed.study.glob(".stop.*"))
    assert {s["state"] for s in killed.states().values()} == {"finished"}
