"""GPUs for cells that run at the same time on one machine: each claims as many as it trains on."""

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from poserep.errors import Stopped
from poserep.runs.stop_request import sweep_is_ending

_POLL = 1.0


def visible_gpus() -> list[str]:
    """Return the names of the GPUs that this process may use, as in CUDA_VISIBLE_DEVICES."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if names is not None:
        return [name for name in names.split(",") if name]
    import torch

    # Counting does not initialise CUDA, which would fix the choice of devices.
    return [str(i) for i in range(torch.cuda.device_count())]


@contextmanager
def claimed_gpus(count: int, folder: Path | None = None) -> Iterator[list[str]]:
    """Claim ``count`` GPUs among the cells on this machine, waiting until so many are free.

    Claims are file locks, which the kernel releases when the process ends, however it ends. If fewer than ``count``
    are visible, nothing is claimed: building the trainer explains what is missing. Raises `Stopped` if the sweep is
    stopped meanwhile.
    """
    names = visible_gpus() if count else []
    if not count or len(names) < count:
        yield names
        return
    folder = folder or Path(tempfile.gettempdir()) / f"poserep-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    uuids, announced = gpu_uuids(), False
    while True:
        with ExitStack() as locks:
            files = (folder / f"{uuids.get(name, name).replace('/', '_')}.lock" for name in names)
            free = (name for name, file in zip(names, files, strict=True) if _lock(file, locks))
            if len(claimed := list(islice(free, count))) == count:
                yield claimed
                return
        if sweep_is_ending():
            raise Stopped("the sweep was stopped")
        if not announced:
            print(f"waiting for {count} of the GPUs {', '.join(names)}, which other cells have", flush=True)
            announced = True
        # Some but not enough were free: they are released, so that another cell may have enough.
        time.sleep(_POLL)


def gpu_uuids() -> dict[str, str]:
    """Return the UUIDs of this machine's GPUs by number; empty where nvidia-smi does not tell them."""
    # A scheduler that shows one GPU to each of its jobs numbers all of them 0, so numbers cannot name locks.
    command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(line.split(", ", 1) for line in output.splitlines() if ", " in line)


def _lock(path: Path, locks: ExitStack) -> bool:
    file = locks.enter_context(path.open("w"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
