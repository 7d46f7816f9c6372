"""Whether a process is still there, and is the one that was meant."""

import os
from pathlib import Path


def lives(pid: int) -> bool:
    """Whether a process of that number is on this machine and has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Another user's, so it is there.
        pass
    fields = _fields(pid)
    # Z and X: it has ended, and nobody has asked about it yet.
    return fields is None or fields[0] not in "ZX"


def began(pid: int) -> str | None:
    """When a process was started, in the kernel's own count; None where that is not told.

    The number of one that has ended may be given to another, which began at another time.
    """
    fields = _fields(pid)
    return fields[19] if fields else None


def _fields(pid: int) -> list[str] | None:
    """What the kernel says of a process, from its state on: its name before that may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
