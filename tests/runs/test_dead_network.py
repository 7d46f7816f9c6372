"""A run that is shown on a dashboard ends as it would without one, though the network is dead."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from poserep.runs.rundir import RunDir
from poserep.runs.wandb.sender import ledger_file

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


def timed(run, *overrides):
    began = time.monotonic()
    run_dir, result = run(*TINY, *overrides)
    return time.monotonic() - began, run_dir, result


def test_a_dead_network_neither_stops_nor_slows_a_run(run, silent, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    alone, _, expected = timed(run, "study=alone")
    for study, url in (("closed", "http://127.0.0.1:9"), ("silent", silent)):
        monkeypatch.setenv("WANDB_BASE_URL", url)
        before = dict(os.environ)
        took, run_dir, result = timed(run, f"study={study}", "logger=wandb")
        assert took < alone + MORE, f"{alone:.1f} s alone, {took:.1f} s with a dashboard"
        assert result["metrics"] == expected["metrics"]
        assert json.loads((run_dir / "status.json").read_text())["state"] == "finished"
        notes = [line for line in capfd.readouterr().err.splitlines() if "W&B" in line]
        assert len(notes) == 1 and url in notes[0] and f"poserep wandb push {study}" in notes[0]
        assert not ledger_file(RunDir(run_dir)).exists()
        # Other runs of this process are shown, if they can be.
        assert {k for k in os.environ if "WANDB" in k} == {k for k in before if "WANDB" in k}
