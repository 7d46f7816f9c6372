"""The command line: what is listed, suggested, refused, and with which exit code."""

import os
import subprocess
import sys
from unittest.mock import Mock

import pytest
from omegaconf import OmegaConf

from poserep import cli
from poserep.config import as_dict, compose
from poserep.errors import Failed, InputError, Stopped
from poserep.overrides import CONF, SWEEPS
from poserep.runs.rundir import RunDir
from poserep.sweeps.train import run_composed
from poserep.training.evaluate import configure as reconfigure


def test_commands_are_listed_with_a_line_each(capsys):
    for words in ([], ["-h"], ["--help"]):
        assert cli.main(words) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split("  ")[1] for line in lines[2:]] == list(cli.COMMANDS)
        assert all(len(line) <= 100 for line in lines)
    assert cli.main(["--version"]) == 0 and capsys.readouterr().out.startswith("poserep 0.")
    for words in ("data", "data --help", "sweep", "wandb -h"):
        assert cli.main(words.split()) == 0
        assert f"  {words.split()[0]} " in (shown := capsys.readouterr().out) and "train" not in shown


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_shows_usage_options_and_an_example(capsys, name):
    assert cli.main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: poserep {name}") and f"example: poserep {name}" in shown


def test_a_wrong_word_suggests_the_near_one(capsys):
    suggested = {"trian": "train", "status x": "sweep status", "data chek": "data check", "publish": "wandb push"}
    for words, near in {**suggested, "sweeps statu": "sweep status"}.items():
        assert cli.main(words.split()) == 2
        assert capsys.readouterr().err.endswith(f"; did you mean {near}?\n")
    assert cli.main(["evalute", "runs/demo"]) == 2
    assert "did you mean evaluate?" in capsys.readouterr().err
    assert cli.main(["frobnicate"]) == 2
    assert "there are train, evaluate" in capsys.readouterr().err


def by_lightning(cause: BaseException) -> SystemExit:
    """What Lightning makes of Ctrl-C."""
    end = SystemExit(1)
    end.__context__ = cause
    return end


def test_exit_codes(monkeypatch, capsys):
    again = "run the same command again to continue from its last checkpoint"
    for end, code, text in (
        (None, 0, ""),
        (1, 1, ""),
        (InputError("no such key"), 2, "error: no such key\n"),
        (Failed("the run failed"), 1, "error: the run failed\n"),
        (PermissionError(13, "Permission denied", "x"), 1, "error: [Errno 13] Permission denied: 'x'\n"),
        (Stopped("SIGTERM"), 75, f"stopped (SIGTERM); {again}\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (SystemExit(), 130, "interrupted\n"),
        (by_lightning(KeyboardInterrupt()), 130, "interrupted\n"),
        (SystemExit("a reason"), 1, "a reason\n"),
    ):
        command = Mock(side_effect=[end])
        monkeypatch.setattr("poserep.training.command.calibrate_command", command)
        assert cli.main(["calibrate", "a", "--b"]) == code
        assert capsys.readouterr().err == text
        command.assert_called_once_with(["a", "--b"])


def test_all_that_compose_start_from_another_file(capsys):
    words = ["--config-dir", str(SWEEPS), "--config-name", "lspet", "data.root=nowhere"]
    assert cli.main(["cost", *words, "representation=simcc", "--batches", "1"]) == 0
    assert "14 joints" in capsys.readouterr().out
    for command in (["data", "stats"], ["data", "check"], ["import", "nowhere.pth"]):
        assert cli.main([*command, *words[:2], "--config-name", "lspett"]) == 2
        assert "no sweep or configuration 'lspett'; did you mean lspet?" in capsys.readouterr().err
        assert cli.main([*command, "--config-dir", "nowhere"]) == 2
        assert capsys.readouterr().err == "error: --config-dir: nowhere is not a folder\n"


def test_a_folder_of_ones_own_comes_before_conf(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text((CONF / "config.yaml").read_text().replace("seed: 0", "seed: 7"))
    (tmp_path / "optim").mkdir()
    (tmp_path / "optim" / "one_cycle.yaml").write_text(
        (CONF / "optim" / "one_cycle.yaml").read_text().replace("reference_batch: 64", "reference_batch: 9")
    )
    composed = compose(["size=128x128"], folder=tmp_path).cfg
    assert (composed.seed, composed.optim.reference_batch, composed.input_size) == (7, 9, "128x128")
    assert cli.main(["train", "--cfg", "job", f"--config-dir={tmp_path}", "size=128x128"]) == 0
    assert OmegaConf.create(capsys.readouterr().out) == composed


def test_a_run_takes_the_overrides_of_training(trained_once):
    def again(override):
        return reconfigure(trained_once("representation=simcc"), [override])

    assert again("size=128x96").input_size == "128x96" and again("~logger").logger is None
    assert again("trainer=cpu").trainer == OmegaConf.load(CONF / "trainer" / "cpu.yaml")
    hard = as_dict(again("data.level=hard").data)
    assert hard["name"] == "synthetic-hard" and hard["prepare"]["level"] == "hard"
    refused = {
        "backbone=hrnet_w33": "no backbone 'hrnet_w33'; did you mean hrnet_w32",
        "~flip_test": "~flip_test: only a group can be left out",
        "~data": "data cannot be left out: choose one of the files of conf/data",
        "readouts=dark,argmax": "readouts has several values: write a list as readouts=[...]",
        "+readouts.foo=1": "Unexpected type for root: NoneType",
        "~size": "size: choose one of the files of conf/size, as in size=64x64",
        "flip=false": "no key or group flip; did you mean flip_test?",
        "flip_test=maybe": "flip_test: Value 'maybe' is not a valid bool",
        "trainer.batch=0": "trainer.batch=0 is not a whole number",
        "+flip_tset=false": "no key 'flip_tset' in a run's configuration; did you mean flip_test",
    }
    for override, said in refused.items():
        with pytest.raises(InputError) as caught:
            again(override)
        assert str(caught.value).startswith(said)


def test_misspelt_options_are_one_line(capsys):
    for words, line in {
        "train --confg-dir x": "there is no option --confg-dir; did you mean --config-dir?",
        "sweep run embedded --row x": "there is no option --row; did you mean --rows?",
        "sweep run mine --config-dir conf": "there is no conf/mine.yaml",
    }.items():
        assert cli.main(words.split()) == 2
        assert capsys.readouterr().err.startswith(f"error: {line}")


def test_training_that_cannot_be_is_one_line(monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    before = list(sys.argv), os.environ.get("HYDRA_FULL_ERROR")
    for words, line in {
        "trainer.epoch=3": "error: no key trainer.epoch; did you mean trainer.epochs?",
        "+aligm=corner": "error: no key 'aligm' in a run's configuration; did you mean align?",
        "data.prepare=null data.root=nowhere": "error: missing: nowhere/annotations/train.json, ",
    }.items():
        assert cli.main(["train", "trainer=smoke", *words.split()]) == 2
        text = capfd.readouterr().err
        assert text.startswith(line) and text.count("\n") == 1
        assert before == (sys.argv, os.environ.get("HYDRA_FULL_ERROR"))


def test_processes_of_other_launchers_are_refused(monkeypatch, capsys):
    for name, value in (("LOCAL_RANK", "0"), ("WORLD_SIZE", "2"), ("RANK", "abc")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            for words in (["train", "trainer.devices=2"], ["evaluate", "run"]):
                assert cli.main(words) == 2
                text = capsys.readouterr().err
                assert "run the command once, without torchrun, with trainer.devices=N" in text
                assert text.count("\n") == 1


def test_searches_are_given_the_chief_metric(trained_once, monkeypatch):
    run_dir = RunDir(trained_once("representation=simcc"))
    monkeypatch.setattr("poserep.sweeps.train.create_run", lambda config: run_dir)
    cfg = OmegaConf.create({**run_dir.config(), "table": None})
    del cfg["names"], cfg["contents"]
    for several in (False, True):
        assert run_composed(cfg, "backbone", several) == run_dir.result()["metrics"]["gt"]["argmax"]["AP"]


def test_a_stopped_multirun_begins_nothing_more(monkeypatch, tmp_path):
    begun = []

    def run_cell(run_dir):
        begun.append(run_dir)
        raise Stopped("SIGTERM")

    monkeypatch.setattr("poserep.sweeps.train.run_cell", run_cell)
    assert cli.main(["train", "-m", "seed=0,1", f"runs={tmp_path}"]) == 75
    assert len(begun) == 1


def test_output_that_nobody_reads_to_its_end_is_no_error():
    done = subprocess.run(f"{sys.executable} -m poserep --help | true", shell=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_module_is_the_command_and_imports_nothing_heavy():
    program = [sys.executable, "-X", "importtime", "-m", "poserep", "nothing"]
    done = subprocess.run(program, capture_output=True, text=True)
    *imports, error = done.stderr.splitlines()
    assert done.returncode == 2 and error.startswith("error: 'nothing' is no command")
    assert not {line.split("|")[-1].strip() for line in imports} & {"torch", "hydra", "numpy"}
