"""Leases: at most one process works on a run directory, on one machine or on several that share files."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from poserep.files import naming_full_disk

# Seconds between two heartbeats, and without one until a holder on another machine counts as dead.
HEARTBEAT, EXPIRY = 10.0, 120.0


def holder(folder: Path) -> dict[str, Any] | None:
    """Return the living holder of a folder's lease: ``host``, ``pid`` and ``since`` (Unix time); None without one."""
    return _living_holder(_newest(folder))


def by_whom(holder: dict[str, Any] | None) -> str:
    """Name the holder of a lease for a message."""
    return f"by process {holder['pid']} on {holder['host']}" if holder else "by another process"


def held_by_this_launch(folder: Path) -> bool:
    """Return whether the process that holds the lease, or died holding it, was started together with this one."""
    record = _read(_newest(folder))
    return record is not None and record["launch"] == _launch()


class Lease(AbstractContextManager["Lease"]):
    """A lease on a folder, held by at most one process.

    Each acquisition creates ``lease.N`` with the next number, which only one process can do; the highest number holds.
    So a lease is taken over from a dead holder without a moment in which two processes have it. Whether a holder on
    this machine lives is asked of the kernel; on other machines the time of its last heartbeat decides.

    ``on_lost`` is called from another thread if another process has taken over, as after this machine was asleep.
    """

    def __init__(self, folder: Path, on_lost: Callable[[], None] = lambda: None) -> None:
        self.folder, self.on_lost = folder, on_lost
        self.path: Path | None = None
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def acquire(self) -> bool:
        """Acquire the lease unless a living process holds it; return whether that succeeded."""
        # Check and claim use one snapshot: if another process claims in between, our link fails.
        newest = _newest(self.folder)
        if _living_holder(newest):
            return False
        path = self.folder / f"lease.{_number(newest) + 1 if newest else 0}"
        record = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "began": process_start(os.getpid()),
            "since": time.time(),
            "launch": _launch(),
        }
        # Linking makes the file appear with its content, or fail if the name is taken.
        partial = self.folder / f".lease.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}"
        try:
            with naming_full_disk(path):
                partial.write_text(json.dumps(record))
                os.link(partial, path)
        except FileExistsError:
            return False
        finally:
            partial.unlink(missing_ok=True)
        self.path = path
        self._thread.start()
        return True

    def release(self) -> None:
        """Give the lease up."""
        self._released.set()
        if self.path is not None:
            self._thread.join()
            # Our own file goes last: until then nobody else can acquire the lease.
            for path in sorted(self.folder.glob("lease.*"), key=_number):
                if _number(path) <= _number(self.path):
                    path.unlink(missing_ok=True)
        self.path = None

    def _beat(self) -> None:
        while self.path and not self._released.wait(HEARTBEAT):
            if _newest(self.folder) != self.path:
                self.on_lost()
                return
            # A network file system may be out of reach for a while.
            with suppress(OSError):
                os.utime(self.path)

    def __exit__(self, *_: object) -> None:
        self.release()


def is_alive(pid: int) -> bool:
    """Return whether a process with that number runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # The process exists and belongs to another user.
        pass
    stat = _kernel_stat(pid)
    # Z and X: it has ended, and its parent has not collected its exit status yet.
    return stat is None or stat[0] not in "ZX"


def process_start(pid: int) -> str | None:
    """Return when a process started (clock ticks since boot; None if unknown), as its number may be given again."""
    stat = _kernel_stat(pid)
    return stat[19] if stat else None


def _kernel_stat(pid: int) -> list[str] | None:
    try:
        # The fields begin after the process's name in parentheses, which may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None


def _number(path: Path) -> int:
    return int(path.suffix[1:])


def _newest(folder: Path) -> Path | None:
    return max(folder.glob("lease.*"), key=_number, default=None)


def _read(path: Path | None) -> dict[str, Any] | None:
    # One that cannot be parsed is that of a machine that lost its power.
    with suppress(FileNotFoundError, ValueError):
        return dict(json.loads(path.read_text())) if path else None
    return None


def _living_holder(path: Path | None) -> dict[str, Any] | None:
    record = _read(path)
    if record and record["host"] == socket.gethostname():
        same_process = record["began"] in (None, process_start(record["pid"]))
        return record if is_alive(record["pid"]) and same_process else None
    with suppress(FileNotFoundError):
        return record if path and time.time() - path.stat().st_mtime < EXPIRY else None
    return None


def _launch() -> str:
    # The same for all processes of a distributed run, and for no others.
    return os.environ.get("TORCHELASTIC_RUN_ID") or f"{socket.gethostname()}.{os.getpid()}"
