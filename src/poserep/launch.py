"""One process per device, started by us: Lightning's launcher would run a whole Hydra sweep again in each."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from poserep.errors import InputError


def launch(program: str, arguments: Sequence[str], devices: int, work: Callable[[], Any]) -> None:
    """Do ``work`` here if there is one device or this is one of several processes; otherwise start those.

    Args:
        program: Module whose ``main`` does the same work, for the processes.
        arguments: For it.
        devices: How many processes.
        work: What to do in a process.

    Raises:
        InputError: If a process failed; it has said why.
    """
    if devices == 1 or "LOCAL_RANK" in os.environ:
        work()
        return
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
    # One thread a process is torchrun's own default; it says so loudly unless told.
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    code = subprocess.run([*command, "-m", program, *arguments], env=environment).returncode
    if code:
        raise InputError(f"{program} {' '.join(arguments)}: a process failed (exit {code}); its message is above")
