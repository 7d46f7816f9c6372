"""A run that is killed at any of its writes, or finds the disk full there, ends as one that ran through."""

import errno
import os
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import torch

from poserep import cli
from poserep.runs import lease
from poserep.runs.create import create_run, resolved
from poserep.runs.rundir import RunDir, load_results
from poserep.training.fit import fit
from tiny_backbone import on_tiny_backbone

RUN = ["representation=simcc", "optim.lr=1e-2", "trainer.epochs=2", "boxes=[gt]", "flip_test=false", "trainer.ema=0.9"]
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.link")


class Killed(BaseException):
    """What nothing handles."""


class Disk:
    """Calls ``on_change`` before every change of the files below a folder, with the kind of change and the file."""

    def __init__(self) -> None:
        self.folder, self.on_change = "", lambda *_: None
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple) -> None:
        if self.folder and (event in CHANGES or event == "open") and str(arguments[0]).startswith(self.folder):
            path = Path(arguments[0])
            missing = event == "os.remove" and not path.exists()
            writes = event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR))
            if writes and not missing and not (event == "os.mkdir" and path.exists()):
                self.on_change(event, path)

    def watch(self, folder: Path, on_change: Callable[[str, Path], object]) -> None:
        self.folder, self.on_change = str(folder), on_change

    def rest(self) -> None:
        self.folder = ""


@pytest.fixture(scope="module")
def watching() -> Disk:
    """One for all tests, as Python forgets no audit hook."""
    return Disk()


@pytest.fixture
def disk(watching, monkeypatch):
    """The disk, for processes that count as dead as soon as they are."""
    monkeypatch.setattr(lease, "is_alive", lambda _: False)
    yield watching
    watching.rest()


@pytest.fixture
def train(configure) -> Callable[[Path], RunDir]:
    """Train below a folder, from its configuration on, or go on there."""
    config = resolved(on_tiny_backbone(configure(*RUN)), "backbone")

    def work(folder: Path) -> RunDir:
        run_dir = create_run(config | {"runs": str(folder)})
        fit(run_dir)
        return run_dir

    return work


def outcome(run_dir: RunDir) -> dict:
    """All that a run leaves, but times and places."""
    result = run_dir.result()
    for key in ("seconds", "speed", "config"):
        del result[key]
    rows = [{k: v for k, v in row.items() if "speed" not in k} for row in run_dir.curve()]
    arrays = [run_dir / name for name in ("predictions.npz", "samples.npz", "worst.npz")]
    return {"result": result, "curve": rows, "arrays": [file.read_bytes() for file in arrays]}


def assert_same(run_dir: RunDir, whole: RunDir) -> None:
    assert outcome(run_dir) == outcome(whole)
    for name in ("last", "best"):
        a, b = (torch.load(run.checkpoint(name), weights_only=True)["state_dict"] for run in (run_dir, whole))
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a), name
    assert not list(run_dir.path.glob("checkpoints/.*")), "nothing is left of a checkpoint that was begun"


def kill(disk: Disk, train: Callable, folder: Path, at: int) -> str:
    """Train until the change of that number, which a file's beginning survives; return what was changed."""
    numbers, killed = count(), []

    def on_change(event: str, path: Path) -> None:
        if not killed and next(numbers) == at:
            killed.append(f"{event} {path.name}")
            disk.rest()
            if event == "open":
                with path.open("ab") as file:
                    file.write(b'{"torn')
            disk.watch(folder, on_change)
        if killed:
            # Nor does a dead process clean up.
            raise Killed

    disk.watch(folder, on_change)
    with pytest.raises(Killed):
        train(folder)
    disk.rest()
    return killed[0]


def changes_of(disk: Disk, train: Callable, folder: Path) -> tuple[RunDir, list[str]]:
    names: list[str] = []
    disk.watch(folder, lambda event, path: names.append(f"{event} {path.name}"))
    whole = train(folder)
    disk.rest()
    return whole, names


@pytest.mark.parametrize("part", ["few", pytest.param("all", marks=pytest.mark.long)])
def test_a_run_that_is_killed_at_any_change_of_a_file_ends_as_one_that_was_not(disk, train, tmp_path, part):
    whole, names = changes_of(disk, train, tmp_path / "whole")
    assert len(names) > 30
    few = [names.index("os.rename last.ckpt") + n for n in (0, 1)] + [len(names) - 6, 9]
    for at in range(len(names)) if part == "all" else few:
        what = kill(disk, train, tmp_path / f"{at}", at)
        try:
            assert_same(train(tmp_path / f"{at}"), whole)
        except BaseException as error:
            error.add_note(f"killed at change {at}: {what}")
            raise


def test_a_full_disk_is_told_in_a_line_and_the_run_goes_on_when_there_is_room(disk, train, tmp_path, capsys):
    whole = train(tmp_path / "whole")
    # From the first or second time on that a file is written, nothing can be.
    for name, time in (("last.ckpt", 2), ("metrics.jsonl", 2), ("predictions.npz", 1), ("result.json", 1)):
        opened: list[Path] = []

        def on_change(event: str, path: Path, name: str = name, time: int = time, opened: list = opened) -> None:
            opened += [path] if event == "open" and path.name.endswith(name) else []
            if event == "open" and len(opened) >= time:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        capsys.readouterr()
        disk.watch(tmp_path / name, on_change)
        assert cli.ended(lambda name=name: train(tmp_path / name) and None) == 1
        disk.rest()
        lines = [line for line in capsys.readouterr().err.splitlines() if "AP is 0" not in line]
        assert len(lines) == 1 and lines[0].startswith("error: ") and f"{name} cannot be written (No space" in lines[0]
        assert lines[0].endswith(": make room there, then run the same command again")
        assert_same(train(tmp_path / name), whole)


@pytest.mark.parametrize("content", ["", '{"status": "fini', "- 1"])
def test_damaged_records_are_named_and_written_again(train, tmp_path, capsys, content):
    run_dir = train(tmp_path)
    before, config = outcome(run_dir), run_dir.config_file.read_text()
    run_dir.config_file.write_text(content)
    train(tmp_path)
    again = "the command that made it writes it again"
    assert "config.yaml is damaged (" in (said := capsys.readouterr().err) and again in said
    assert run_dir.config_file.read_text() == config and outcome(run_dir) == before
    for file in (run_dir.result_file(), run_dir.status_file):
        file.write_text(content)
    assert not run_dir.finished and run_dir.twin is None and run_dir.observed_status()["state"] == "stopped"
    train(tmp_path)
    assert f"note: {run_dir.result_file()} is damaged (" in (said := capsys.readouterr().err) and again in said
    assert run_dir.status()["state"] == "finished" and outcome(run_dir) == before


def test_a_result_that_is_damaged_is_no_result(train, tmp_path):
    run_dir = train(tmp_path)
    run_dir.result_file().write_text("{")
    status = run_dir.status()
    assert status["state"] == "stopped" and f"{run_dir.result_file()} is damaged" in status["why"]
    damaged: dict[str, str] = {}
    assert load_results(run_dir.path.parent, damaged) == [] and list(damaged) == [run_dir.name]
