"""A run that is shown on a dashboard: the network may be dead, slow or die, and the run is as without it."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from dashboard_server import Server
from poserep.publish import LEDGER

pytestmark = pytest.mark.slow
TINY = ("representation=simcc", "boxes=[gt]", "flip_test=false", "trainer.epochs=2")
# Seconds that a run may take longer: a process is started beside it, on a machine that may be busy.
MORE = 15.0


@pytest.fixture
def silent() -> Iterator[str]:
    """Address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept = []

        def take() -> None:
            while True:
                try:
                    kept.append(listening.accept())
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def at(monkeypatch, tmp_path):
    """Sets a key, and the server that it is for."""

    def go(url: str) -> None:
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", url)
        monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("WANDB_MODE", raising=False)

    return go


def timed(run, *overrides):
    began = time.monotonic()
    run_dir, result = run(*TINY, *overrides)
    return time.monotonic() - began, run_dir, result


def test_a_dead_network_neither_stops_nor_slows_a_run(run, at, silent, capfd):
    run(*TINY, "seed=9")
    alone, _, expected = timed(run, "study=alone")
    for name, url in (("closed", "http://127.0.0.1:9"), ("silent", silent)):
        at(url)
        took, run_dir, result = timed(run, f"study={name}", "logger=wandb")
        print(f"{name}: {alone:.1f} s alone, {took:.1f} s with a dashboard")
        assert took < alone + MORE
        assert result["metrics"] == expected["metrics"]
        assert json.loads((run_dir / "status.json").read_text())["state"] == "finished"
        notes = [line for line in capfd.readouterr().err.splitlines() if "W&B" in line]
        assert len(notes) <= 1
        assert all(url in note and f"python -m poserep.publish {name}" in note for note in notes)
        assert not (run_dir / LEDGER).exists()


def test_a_network_that_dies_during_a_run_costs_seconds(run, at, capfd):
    server = Server()
    at(server.url)
    alone, _, _ = timed(run, "study=alone")
    took, run_dir, _ = timed(run, "study=lively", "logger=wandb")
    assert len(server.runs) == 1 and json.loads((run_dir / LEDGER).read_text())["record"]
    server.awake.clear()
    took, run_dir, result = timed(run, "study=dying", "logger=wandb")
    server.awake.set()
    assert result["status"] == "finished" and took < alone + MORE
    assert not (run_dir / LEDGER).exists() or not json.loads((run_dir / LEDGER).read_text())["record"]


def test_nothing_of_the_dashboard_is_left_in_the_process(run, at):
    at("http://127.0.0.1:9")
    before = dict(os.environ)
    run(*TINY, "logger=wandb")
    assert {k: v for k, v in os.environ.items() if k.startswith("WANDB")} == {
        k: v for k, v in before.items() if k.startswith("WANDB")
    }
    assert not [t for t in threading.enumerate() if "wandb" in t.name.lower()]
