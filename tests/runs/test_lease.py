"""One process at a time on a run directory, and on a GPU."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from poserep.errors import Stopped
from poserep.runs import stop_request
from poserep.runs.devices import claimed_gpus
from poserep.runs.lease import EXPIRY, Lease, holder
from poserep.runs.stop_request import StopRequest
from poserep.training.checkpoint_on_stop import CheckpointOnStop
from run_records import until


def leases(folder):
    return sorted(path.name for path in folder.glob("lease.*"))


def taken_by(folder, age=0.0, **record):
    """Write a lease of a holder whose last heartbeat was some seconds ago."""
    path = folder / "lease.0"
    path.write_text(json.dumps({"host": "another", "pid": 1, "began": "1", "since": 0} | record))
    os.utime(path, (time.time() - age,) * 2)


def test_of_many_at_once_one_gets_it(tmp_path):
    taken_by(tmp_path, 1000)
    start, found = threading.Barrier(8), [Lease(tmp_path) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda lease: start.wait() >= 0 and lease.acquire(), found))
    assert sum(taken) == 1 and leases(tmp_path) == ["lease.0", "lease.1"]
    found[taken.index(True)].release()
    assert leases(tmp_path) == []


def test_a_process_that_was_killed_has_it_no_more(tmp_path):
    code = "import sys, time, pathlib; from poserep.runs.lease import Lease; Lease(pathlib.Path(sys.argv[1])).acquire()"
    code += "; print('taken', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"taken\n"
        assert holder(tmp_path)["pid"] == child.pid and not Lease(tmp_path).acquire()
        child.kill()
        # Not even while nobody has asked how it ended.
        until(lambda: holder(tmp_path) is None)
    with Lease(tmp_path) as lease:
        assert lease.acquire() and not Lease(tmp_path).acquire()
        assert holder(tmp_path)["pid"] == os.getpid()
    assert holder(tmp_path) is None and leases(tmp_path) == []


def test_holders_give_signs_of_life_or_are_the_process_that_they_were(tmp_path):
    taken_by(tmp_path, EXPIRY - 20)
    assert holder(tmp_path)["host"] == "another"
    # Another process has the number of the second now.
    for age, record in ((EXPIRY + 20, {}), (0, {"host": socket.gethostname(), "pid": os.getpid(), "began": "before"})):
        taken_by(tmp_path, age, **record)
        assert holder(tmp_path) is None


def test_heartbeats_are_given_until_the_lease_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("poserep.runs.lease.HEARTBEAT", 0.02)
    lost = threading.Event()
    lease = Lease(tmp_path, lost.set)
    assert lease.acquire()
    os.utime(lease.path, (0, 0))
    until(lambda: lease.path.stat().st_mtime > time.time() - 10)
    (tmp_path / "lease.1").write_text((tmp_path / "lease.0").read_text())
    assert lost.wait(5)
    lease.release()
    assert leases(tmp_path) == ["lease.1"]


@pytest.fixture
def request_to_stop(monkeypatch):
    """A request that looks often."""
    monkeypatch.setattr(stop_request, "_POLL", 0.01)
    return StopRequest()


def test_a_run_that_was_lost_saves_nothing(tmp_path, request_to_stop):
    request_to_stop.lose()
    with pytest.raises(Stopped, match="another process has taken"):
        CheckpointOnStop(request_to_stop, tmp_path / "last.ckpt").on_train_batch_end(None, None, None, None, 0)


def test_a_file_stops_those_who_listen(tmp_path, monkeypatch, request_to_stop):
    (tmp_path / "12:30").mkdir()
    file = tmp_path / "12:30" / "stop"
    monkeypatch.setenv(stop_request.STOP_FILE, str(file))
    with request_to_stop.listening():
        request_to_stop.check()
        file.write_text("failed")
        time.sleep(0.1)
        request_to_stop.check()
        assert stop_request.sweep_is_ending(), "what has not begun is left"
        file.write_text("stop")
        until(lambda: request_to_stop.why)
    with pytest.raises(Stopped, match="the sweep or launcher that started it was stopped"):
        request_to_stop.check()


def test_the_death_of_the_starter_stops_those_who_listen(monkeypatch, request_to_stop):
    # Ended, and nobody has asked how.
    with subprocess.Popen([sys.executable, "-c", "pass"]) as child:
        monkeypatch.setenv(stop_request.PARENT, str(child.pid))
        with request_to_stop.listening():
            until(lambda: request_to_stop.why == "the process that started it ended")


def test_cells_do_not_share_a_gpu_and_wait_until_the_sweep_ends(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3,5")
    monkeypatch.setattr("poserep.runs.devices._POLL", 0.01)
    monkeypatch.setenv(stop_request.STOP_FILE, str(tmp_path / "stop"))
    with ThreadPoolExecutor() as pool:
        with claimed_gpus(2, tmp_path) as first, claimed_gpus(1, tmp_path) as second:
            assert (first, second) == (["2", "3"], ["5"])
            third = pool.submit(lambda: claimed_gpus(1, tmp_path).__enter__())
            time.sleep(0.1)
            assert not third.done(), "all are taken"
        assert third.result(5) == ["2"]
    # More than there are are not waited for.
    with claimed_gpus(4, tmp_path) as names:
        assert names == ["2", "3", "5"]
    (tmp_path / "stop").write_text("stop")
    with claimed_gpus(3, tmp_path), pytest.raises(Stopped), claimed_gpus(1, tmp_path):
        pass


def test_gpus_are_known_by_what_they_are(tmp_path, monkeypatch):
    """Jobs to which a scheduler shows different GPUs call all of them 0."""
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    for uuid in ("GPU-a", "GPU-b"):
        program.write_text(f"#!/bin/sh\necho '0, {uuid}'\n")
        program.chmod(0o755)
        with claimed_gpus(1, tmp_path / "locks") as mine:
            assert mine == ["0"] and (tmp_path / "locks" / f"{uuid}.lock").exists()
