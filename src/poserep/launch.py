"""One process per device, started by us: Lightning's launcher would run a whole Hydra sweep again in each."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from poserep import interrupt
from poserep.errors import InputError


def launch(
    program: str, arguments: Sequence[str], devices: int, work: Callable[[], Any], gpus: Sequence[str] | None = None
) -> None:
    """Do ``work`` here if there is one device or this is one of several processes; otherwise start those.

    Args:
        program: Module whose ``main`` does the same work, for the processes.
        arguments: For it.
        devices: How many processes.
        work: What to do in a process.
        gpus: Names of those to use; None: those that are visible.

    Raises:
        InputError: If a process failed; it has said why.
    """
    if devices == 1 or "LOCAL_RANK" in os.environ:
        work()
        return
    start(program, arguments, devices, gpus)


def start(program: str, arguments: Sequence[str], devices: int, gpus: Sequence[str] | None = None) -> None:
    """Run a module's ``main`` in processes of its own, one for each device, and wait.

    What kills them leaves this process alive, and they end soon after it does. Signals that ask to stop are passed on.

    Raises:
        InputError: If one failed.
    """
    command = [sys.executable]
    environment = {**os.environ, interrupt.PARENT: str(os.getpid())}
    if devices > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
        # One thread a process is torchrun's own default; it says so loudly unless told.
        environment = {"OMP_NUM_THREADS": "1", **environment}
    if gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    with subprocess.Popen([*command, "-m", program, *arguments], env=environment) as child, _passing_on(child):
        code = child.wait()
    if code:
        raise InputError(f"{program} {' '.join(arguments)}: {ending(code)}")


def ending(code: int) -> str:
    """What an exit status says."""
    if code >= 0:
        return f"a process failed (exit {code}); its message is above"
    name = signal.Signals(-code).name
    return f"killed by {name}" + ("; was the machine out of memory?" if name == "SIGKILL" else "")


@contextmanager
def _passing_on(child: subprocess.Popen) -> Iterator[None]:
    before = {}
    for name in interrupt.SIGNALS:
        number = getattr(signal, name)
        earlier = signal.getsignal(number)

        def pass_on(number: int, frame: Any, earlier: Any = earlier) -> None:
            if child.poll() is None:
                child.send_signal(number)
            if callable(earlier):
                earlier(number, frame)

        try:
            before[number] = earlier
            signal.signal(number, pass_on)
        except ValueError:
            # Not the main thread: whoever is there hears signals.
            before.pop(number)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
