"""Which GPUs a cell gets when several run at once on one machine."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

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
    """
    names = visible() if count else []
    if count == 0 or len(names) < count:
        yield names
        return
    folder = folder or Path(tempfile.gettempdir()) / f"poserep-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    while True:
        with ExitStack() as held:
            mine: list[str] = []
            for name in names:
                if len(mine) < count and _lock(folder / f"{name.replace('/', '_')}.lock", held):
                    mine.append(name)
            if len(mine) == count:
                yield mine
                return
        # Some but not enough: giving them back lets another have enough.
        time.sleep(POLL)


def _lock(path: Path, held: ExitStack) -> bool:
    file = held.enter_context(path.open("w"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
