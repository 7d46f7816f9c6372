"""One process per device, started by us: Lightning's launcher would run a whole Hydra sweep again in each."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from poserep.errors import Failed
from poserep.runs import interrupt


def launch(program: str, arguments: Sequence[str], devices: int, work: Callable[[], Any], saves: bool = False) -> None:
    """Do ``work`` here if there is one device or this is one of several processes; otherwise start those.

    Args:
        program: Module whose ``main`` does the same work, for the processes.
        arguments: For it.
        devices: How many processes.
        work: What to do in a process.
        saves: As `start` takes it.

    Raises:
        Failed: If a process failed; it has said why.
    """
    if devices == 1 or "LOCAL_RANK" in os.environ:
        work()
        return
    start(program, arguments, devices, saves=saves)


def start(
    program: str, arguments: Sequence[str], devices: int, gpus: Sequence[str] | None = None, saves: bool = False
) -> None:
    """Run a module's ``main`` in processes of its own, one for each device, and wait.

    What kills them leaves this process alive. Signals that ask to stop are passed on.

    Args:
        program: The module.
        arguments: For it.
        devices: How many processes.
        gpus: Names of those to use; None: those that are visible.
        saves: Whether it listens as `poserep.runs.interrupt` does, to save and end by itself, or may just be ended.

    Raises:
        Failed: If one failed.
    """
    command = [sys.executable]
    environment = {**os.environ, interrupt.PARENT: str(os.getpid())}
    if gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    with TemporaryDirectory(prefix="poserep-") as folder:
        file = Path(folder) / "stop" if devices > 1 and saves else None
        if devices > 1:
            command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
            # A scheduler may signal it too, of which it would die and leave its processes behind.
            command += ["--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1,SIGUSR2", "--shutdown-timeout=120"]
            # One thread a process is torchrun's own default; it says so loudly unless told.
            environment = {"OMP_NUM_THREADS": "1", **environment}
        if file:
            of_sweep = os.environ.get(interrupt.FILE)
            environment[interrupt.FILES] = os.pathsep.join([*([of_sweep] if of_sweep else []), str(file)])
        # A second signal breaks torchrun, so it does not hear those that are meant for all that this process started.
        alone = file is not None
        child = subprocess.Popen([*command, "-m", program, *arguments], env=environment, start_new_session=alone)
        with child, _passing_on(child, file):
            try:
                code = child.wait()
            except KeyboardInterrupt:
                if file:
                    file.write_text("stop")
                child.wait()
                raise
    if code:
        raise Failed(f"{program} {' '.join(arguments)}: {ending(code)}")


def ending(code: int) -> str:
    """What an exit status says."""
    if code >= 0:
        return f"a process failed (exit {code}); its message is above"
    name = signal.Signals(-code).name
    return f"killed by {name}" + ("; was the machine out of memory?" if name == "SIGKILL" else "")


@contextmanager
def _passing_on(child: subprocess.Popen, file: Path | None) -> Iterator[None]:
    """Let a child hear of signals; by a file if one is given."""
    before = {}
    for name in interrupt.SIGNALS:
        number = getattr(signal, name)
        earlier = signal.getsignal(number)

        def pass_on(number: int, frame: Any, earlier: Any = earlier) -> None:
            if file:
                file.write_text("stop")
            elif child.poll() is None:
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
