"""Processes of a run, one per device; Lightning's own launcher would run a whole Hydra sweep again in each.

Torchrun does the rendezvous. Run as a module, this one is torchrun without the page that it prints when a process
fails, as the process itself has recorded why.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from poserep.errors import Failed, InputError
from poserep.runs import stop_request

# A second signal would break torchrun, and its processes would stay behind: it handles all that a scheduler may send.
TORCHRUN = ("--standalone", "--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1,SIGUSR2")
SHUTDOWN = "--shutdown-timeout=120"


def is_rank() -> bool:
    """Return whether this process is one of several of a distributed run."""
    return "LOCAL_RANK" in os.environ


def refuse_other_launchers() -> None:
    """Raise an `InputError` if this process is one of several that another launcher than ours has started."""
    started = is_rank() or os.environ.get("WORLD_SIZE", "1") not in ("", "1")
    started = started or not os.environ.get("RANK", "0").isdigit()
    if started and stop_request.PARENT not in os.environ:
        raise InputError(
            "torchrun or a job system has started this process as one of several (LOCAL_RANK or WORLD_SIZE is set); "
            "poserep starts its own: run the command once, without torchrun, with trainer.devices=N, and in a job that "
            "sets these variables for one process only, unset RANK, LOCAL_RANK and WORLD_SIZE"
        )


def launch(
    program: str, arguments: Sequence[str], devices: int, gpus: Sequence[str] | None = None, saves: bool = False
) -> None:
    """Run a module as a program in processes of its own, one for each device, and wait.

    Whatever kills them leaves this process alive. Signals that ask to stop are passed on. The program uses all visible
    GPUs or those given, named as in CUDA_VISIBLE_DEVICES; ``saves`` tells that it listens to stop requests
    (`poserep.runs.stop_request`), to save and end by itself. Raises `Failed` with how a process ended that failed.
    """
    command = [sys.executable]
    environment = {**os.environ, stop_request.PARENT: str(os.getpid())}
    if gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    with TemporaryDirectory(prefix="poserep-") as folder:
        stop_file = Path(folder) / "stop" if devices > 1 and saves else None
        if devices > 1:
            command += ["-m", "poserep.runs.launch", *TORCHRUN, SHUTDOWN, f"--nproc-per-node={devices}"]
            # Torchrun sets this too, with a warning unless it is given.
            environment = {"OMP_NUM_THREADS": "1", **environment}
        if stop_file:
            sweep_file = os.environ.get(stop_request.STOP_FILE)
            environment[stop_request.STOP_FILE] = "\n".join([*filter(None, [sweep_file]), str(stop_file)])
        command += ["-m", program, *arguments]
        # In a session of its own, torchrun does not hear the signals that a scheduler sends to the whole group.
        child = subprocess.Popen(command, env=environment, start_new_session=stop_file is not None)
        with child, stop_request.handled_by(_passing_on(child, stop_file)):
            try:
                code = child.wait()
            except KeyboardInterrupt:
                if stop_file:
                    stop_file.write_text("stop")
                child.wait()
                raise
    if code:
        raise Failed(describe_exit(code))


def describe_exit(code: int) -> str:
    """Describe in words how a process ended, given its exit status as `subprocess` has it."""
    if code >= 0:
        return f"the process ended with exit status {code}"
    name = signal.Signals(-code).name
    return f"killed by {name}" + ("; was the machine out of memory?" if name == "SIGKILL" else "")


def _passing_on(child: subprocess.Popen, stop_file: Path | None) -> Callable[[int, Any], None]:
    """Return a handler that passes signals on to a child, if given through a stop file, and to the handler so far."""
    earlier = {number: signal.getsignal(number) for number in stop_request.SIGNALS}

    def pass_on(number: int, frame: Any) -> None:
        if stop_file:
            stop_file.write_text("stop")
        elif child.poll() is None:
            child.send_signal(number)
        handler = earlier[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    return pass_on


if __name__ == "__main__":
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    try:
        main()
    except ChildFailedError:
        sys.exit(1)
