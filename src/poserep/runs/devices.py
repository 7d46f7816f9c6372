"""Which GPUs a cell gets when several run at once on one machine."""

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from poserep.errors import Stopped
from poserep.runs.interrupt import told_to_leave

POLL = 1.0


def visible() -> list[str]:
    """The names of the GPUs that this process may use, as in CUDA_VISIBLE_DEVICES."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    import torch

    # Counts without starting CUDA, which would fix the choice of devices.
    return [str(i) for i in range(torch.cuda.device_count())]


@contextmanager
def claim(count: int, folder: Path | None = None) -> Iterator[list[str]]:
    """Have ``count`` GPUs to oneself among the cells on this machine, waiting until so many are free.

    The kernel gives them free when the process ends, however it ends. With fewer than ``count`` visible nothing is
    claimed: what needs them says so.

    Raises:
        Stopped: If the sweep was stopped meanwhile.
    """
    names = visible() if count else []
    if count == 0 or len(names) < count:
        yield names
        return
    folder = folder or Path(tempfile.gettempdir()) / f"poserep-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    known, told = hardware(), False
    while True:
        with ExitStack() as held:
            mine: list[str] = []
            for name in names:
                if len(mine) < count and _lock(folder / f"{known.get(name, name).replace('/', '_')}.lock", held):
                    mine.append(name)
            if len(mine) == count:
                yield mine
                return
        if told_to_leave():
            raise Stopped("the sweep was stopped")
        if not told:
            print(f"waiting for {count} of the GPUs {', '.join(names)}, which other cells have", flush=True)
            told = True
        # Some but not enough: giving them back lets another have enough.
        time.sleep(POLL)


def hardware() -> dict[str, str]:
    """The UUIDs of this machine's GPUs by number; empty where nothing tells them.

    A scheduler that shows each of its jobs one GPU calls all of them 0.
    """
    command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(line.split(", ", 1) for line in said.splitlines() if ", " in line)


def _lock(path: Path, held: ExitStack) -> bool:
    file = held.enter_context(path.open("w"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
