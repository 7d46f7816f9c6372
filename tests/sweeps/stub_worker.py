"""A run without a network: takes leases, saves, stops and fails as `poserep.training.fit` does, in no time."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from poserep.cli import ended
from poserep.errors import Failed, InputError, Stopped
from poserep.runs.lease import Lease, by_whom, holder
from poserep.runs.rundir import RunDir
from poserep.runs.stop_request import StopRequest

EPOCH = 0.04


def mishap(name: str) -> None:
    """What goes wrong in a cell, named by its schedule."""
    if name == "raises":
        raise RuntimeError("a bug of the cell")
    if name == "diverges":
        raise Failed("loss is not finite in epoch 0")
    if name == "refuses":
        raise InputError("input_size=60x60 must be a multiple of 8")
    if name == "is_killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "fails_once" and not Path("tried").exists():
        Path("tried").touch()
        raise RuntimeError("not today")


def run(run_dir: RunDir) -> None:
    """Run a directory as a real worker does, but for the training."""
    request = StopRequest()
    lease = Lease(run_dir.path, request.lose)
    if not lease.acquire():
        raise InputError(f"{run_dir} is being run {by_whom(holder(run_dir.path))}")
    with lease:
        if run_dir.finished:
            return
        run_dir.write_status("running")
        config, saved = run_dir.config(), run_dir.checkpoint("last")
        epochs = config["trainer"]["epochs"]
        begin = int(saved.read_text()) if saved.exists() else 0
        print("resumed" if begin else "begun", flush=True)
        try:
            with request.listening():
                for epoch in range(begin, epochs):
                    mishap(config["optim"]["schedule"]["_target_"].split(".")[-1])
                    time.sleep(EPOCH)
                    with run_dir.curve_file.open("a") as file:
                        file.write(json.dumps({"epoch": epoch, "train/loss": 1.0}) + "\n")
                    saved.parent.mkdir(exist_ok=True)
                    saved.write_text(str(epoch + 1))
                    print(f"epoch {epoch + 1}/{epochs}", flush=True)
                    request.check()
        except Stopped as error:
            run_dir.write_status("stopped", why=str(error))
            raise
        except Exception as error:
            run_dir.write_status("failed", error=str(error), input=isinstance(error, InputError))
            raise
        run_dir.write_result({"config": config, "metrics": {}, "protocol": {}, "columns": [], "provenance": {}})


if __name__ == "__main__":
    sys.exit(ended(lambda: run(RunDir(sys.argv[1]))))
