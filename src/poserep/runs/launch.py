"""Processes of a run, one per device.

They are started here and not by Lightning, whose launcher would run a whole Hydra sweep again in each. Torchrun does
the rendezvous; run as a module, this one is torchrun without the page that it prints when a process fails, as the
process itself has recorded why.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from poserep.errors import Failed
from poserep.runs import interrupt

# A second signal would break torchrun, and its processes would stay behind: it handles all that a scheduler may send.
TORCHRUN = ("--standalone", "--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1,SIGUSR2")
SHUTDOWN = "--shutdown-timeout=120"


def is_rank() -> bool:
    """Whether this process is one of several of a distributed run."""
    return "LOCAL_RANK" in os.environ


def launch(
    program: str, arguments: Sequence[str], devices: int, gpus: Sequence[str] | None = None, saves: bool = False
) -> None:
    """Run a module as a program in processes of its own, one for each device, and wait.

    Whatever kills them leaves this process alive. Signals that ask to stop are passed on.

    Args:
        program: The module.
        arguments: Its command line.
        devices: The number of processes.
        gpus: The GPUs to use, as in CUDA_VISIBLE_DEVICES; None for those that are visible.
        saves: Whether the program listens to stop requests (`poserep.runs.interrupt`), to save and end by itself.

    Raises:
        Failed: If a process failed; the message says how it ended.
    """
    command = [sys.executable]
    environment = {**os.environ, interrupt.PARENT: str(os.getpid())}
    if gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    with TemporaryDirectory(prefix="poserep-") as folder:
        stop_file = Path(folder) / "stop" if devices > 1 and saves else None
        if devices > 1:
            command += ["-m", "poserep.runs.launch", *TORCHRUN, SHUTDOWN, f"--nproc-per-node={devices}"]
            # Torchrun sets this too, with a warning unless it is given.
            environment = {"OMP_NUM_THREADS": "1", **environment}
        if stop_file:
            sweep_file = os.environ.get(interrupt.STOP_FILE)
            environment[interrupt.STOP_FILES] = os.pathsep.join([*filter(None, [sweep_file]), str(stop_file)])
        # In a session of its own, torchrun does not hear the signals that a scheduler sends to the whole group.
        own_session = stop_file is not None
        child = subprocess.Popen([*command, "-m", program, *arguments], env=environment, start_new_session=own_session)
        with child, _passing_signals_on(child, stop_file):
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
    """Say in words how a process ended, given its exit status as `subprocess` has it."""
    if code >= 0:
        return f"the process ended with exit status {code}"
    name = signal.Signals(-code).name
    return f"killed by {name}" + ("; was the machine out of memory?" if name == "SIGKILL" else "")


@contextmanager
def _passing_signals_on(child: subprocess.Popen, stop_file: Path | None) -> Iterator[None]:
    """Pass stop signals on to a child, through a stop file if one is given."""
    before = {}
    for name in interrupt.SIGNALS:
        number = getattr(signal, name)
        earlier = signal.getsignal(number)

        def pass_on(number: int, frame: Any, earlier: Any = earlier) -> None:
            if stop_file:
                stop_file.write_text("stop")
            elif child.poll() is None:
                child.send_signal(number)
            if callable(earlier):
                earlier(number, frame)

        try:
            before[number] = earlier
            signal.signal(number, pass_on)
        except ValueError:
            # Only the main thread receives signals; in another one there is nothing to restore.
            before.pop(number)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def torchrun() -> int:
    """Run torchrun on this process's command line; its exit status."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    try:
        main()
    except ChildFailedError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(torchrun())
