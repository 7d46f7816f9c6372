"""One process at a time on a run directory, and on a GPU."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from poserep.errors import Stopped
from poserep.runs import stop_request
from poserep.runs.devices import claimed_gpus
from poserep.runs.lease import EXPIRY, Lease, holder
from poserep.runs.stop_request import StopRequest
from poserep.training.stop_on_signal import StopOnSignal


def leases(folder):
    return sorted(path.name for path in folder.glob("lease.*"))


def elsewhere(folder, age):
    """A lease that another machine took."""
    path = folder / "lease.0"
    path.write_text(json.dumps({"host": "another", "pid": 1, "began": "1", "since": 0}))
    os.utime(path, (time.time() - age,) * 2)


def test_of_many_at_once_one_gets_it(tmp_path):
    elsewhere(tmp_path, 1000)
    start, taken = threading.Barrier(8), []

    def go():
        lease = Lease(tmp_path)
        start.wait()
        if lease.acquire():
            taken.append(lease)

    threads = [threading.Thread(target=go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1 and leases(tmp_path) == ["lease.0", "lease.1"]
    taken[0].release()
    assert leases(tmp_path) == []


def test_a_process_that_was_killed_has_it_no_more(tmp_path):
    code = "import sys, time, pathlib; from poserep.runs.lease import Lease; Lease(pathlib.Path(sys.argv[1])).acquire()"
    code += "; print('taken', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"taken\n"
    assert holder(tmp_path)["pid"] == child.pid and not Lease(tmp_path).acquire()
    child.kill()
    # Not even while nobody has asked how it ended.
    for _ in range(100):
        if holder(tmp_path) is None:
            break
        time.sleep(0.05)
    assert holder(tmp_path) is None
    child.wait()
    with Lease(tmp_path) as lease:
        assert lease.acquire() and not Lease(tmp_path).acquire()
        assert holder(tmp_path)["pid"] == os.getpid()
    assert holder(tmp_path) is None and leases(tmp_path) == []


def test_another_machine_counts_as_long_as_it_gives_signs_of_life(tmp_path):
    elsewhere(tmp_path, EXPIRY - 20)
    assert holder(tmp_path)["host"] == "another"
    elsewhere(tmp_path, EXPIRY + 20)
    assert holder(tmp_path) is None


def test_a_number_that_another_process_has_now_is_not_the_holder(tmp_path):
    record = {"host": socket.gethostname(), "pid": os.getpid(), "began": "before", "since": 0}
    (tmp_path / "lease.0").write_text(json.dumps(record))
    assert holder(tmp_path) is None


def test_heartbeats_are_given_until_the_lease_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("poserep.runs.lease.HEARTBEAT", 0.05)
    lost = threading.Event()
    lease = Lease(tmp_path, lost.set)
    assert lease.acquire()
    os.utime(lease.path, (0, 0))
    time.sleep(0.3)
    assert lease.path.stat().st_mtime > time.time() - 10
    (tmp_path / "lease.1").write_text((tmp_path / "lease.0").read_text())
    assert lost.wait(5)
    lease.release()
    assert leases(tmp_path) == ["lease.1"]


def test_a_file_stops_those_who_listen(tmp_path, monkeypatch):
    monkeypatch.setenv(stop_request.STOP_FILE, str(tmp_path / "stop"))
    monkeypatch.setattr(stop_request, "_POLL", 0.01)
    request = StopRequest()
    with request.listening():
        request.check()
        (tmp_path / "stop").write_text("failed")
        time.sleep(0.1)
        request.check()
        assert stop_request.sweep_is_ending(), "what has not begun is left"
        (tmp_path / "stop").write_text("stop")
        time.sleep(0.2)
        with pytest.raises(Stopped, match="the sweep or launcher that started it was stopped"):
            request.check()


def test_the_death_of_the_starter_stops_those_who_listen(monkeypatch):
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    monkeypatch.setenv(stop_request.PARENT, str(child.pid))
    monkeypatch.setattr(stop_request, "_POLL", 0.01)
    request = StopRequest()
    with request.listening():
        # Ended, and nobody has asked how.
        time.sleep(1)
        assert request.why == "the process that started it ended"
    child.wait()


def test_cells_do_not_share_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3,5")
    with claimed_gpus(2, tmp_path) as first, claimed_gpus(1, tmp_path) as second:
        assert (first, second) == (["2", "3"], ["5"])
        monkeypatch.setattr("poserep.runs.devices._POLL", 0.01)
        third: list[str] = []

        def wait():
            with claimed_gpus(1, tmp_path) as names:
                third.extend(names)

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.1)
        assert third == [], "all are taken"
    thread.join(5)
    assert third == ["2"]
    # More than there are are not waited for.
    with claimed_gpus(4, tmp_path) as names:
        assert names == ["2", "3", "5"]


def test_gpus_are_known_by_what_they_are(tmp_path, monkeypatch):
    """Jobs to which a scheduler shows different GPUs call all of them 0."""
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    for uuid in ("GPU-a", "GPU-b"):
        program.write_text(f"#!/bin/sh\necho '0, {uuid}'\n")
        program.chmod(0o755)
        with claimed_gpus(1, tmp_path / "locks") as mine:
            assert mine == ["0"]
            assert sorted(path.name for path in (tmp_path / "locks").iterdir())[-1] == f"{uuid}.lock"


def test_waiting_for_a_gpu_ends_with_the_sweep(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    monkeypatch.setenv(stop_request.STOP_FILE, str(tmp_path / "stop"))
    (tmp_path / "stop").write_text("stop")
    with claimed_gpus(1, tmp_path / "locks"), pytest.raises(Stopped), claimed_gpus(1, tmp_path / "locks"):
        pass


def test_a_run_that_was_lost_saves_nothing(tmp_path):
    request = StopRequest()
    request.lose()
    stop = StopOnSignal(request, tmp_path / "last.ckpt")
    with pytest.raises(Stopped, match="another process has taken"):
        stop.on_train_batch_end(None, None, None, None, 0)
