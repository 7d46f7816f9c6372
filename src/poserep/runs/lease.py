"""Who is at work on a run directory, so that no two processes are, on one machine or on several that share files."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from poserep.runs.processes import began, lives

# Seconds between signs of life, and without one until a holder on another machine counts as dead.
BEAT, EXPIRE = 10.0, 120.0


def holder(folder: Path, expire: float = EXPIRE) -> dict[str, Any] | None:
    """Who holds a folder's lease: ``host``, ``pid`` and ``since`` (Unix time), or None if nobody alive does."""
    newest = _newest(folder)
    return _living(newest, expire) if newest else None


def by_whom(found: dict[str, Any] | None) -> str:
    """Of a lease's holder."""
    return f"by process {found['pid']} on {found['host']}" if found else "by another process"


def ours(folder: Path) -> bool:
    """Whether the process that has the lease, or had it when it died, was started together with this one."""
    newest = _newest(folder)
    found = _read(newest) if newest else None
    return found is not None and found["launch"] == _launch()


class Lease:
    """Held by at most one process; taken over from one that died, without a moment in which two have it.

    Each taking makes a file of the next number, which only one process can make; the highest number holds. On the
    machine of the holder its process is looked at, on others the time of its last sign of life.

    Args:
        folder: What is leased.
        lost: Called from another thread if somebody else has taken it, as after this machine was asleep.
        beat: Seconds between signs of life.
        expire: Seconds without one until the holder counts as dead.
    """

    def __init__(
        self,
        folder: Path,
        lost: Callable[[], None] = lambda: None,
        beat: float = BEAT,
        expire: float = EXPIRE,
    ) -> None:
        self.folder, self.lost, self.beat, self.expire = folder, lost, beat, expire
        self.path: Path | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self) -> bool:
        """Take it unless somebody alive has it; says whether that worked."""
        # Judged and outnumbered is the same one: a lease that is taken in between has the number that this one wants.
        newest = _newest(self.folder)
        if newest is not None and _living(newest, self.expire) is not None:
            return False
        path = self.folder / f"lease.{_number(newest) + 1 if newest else 0}"
        about = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "began": began(os.getpid()),
            "since": time.time(),
            "launch": _launch(),
        }
        # A file appears under its name with its content or not at all.
        partial = self.folder / f".lease.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}"
        partial.write_text(json.dumps(about))
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        finally:
            partial.unlink()
        self.path = path
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        return True

    def give_back(self) -> None:
        """End it."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self.path is not None:
            # The holder's own last: until then nobody else can take it.
            for path in sorted(self.folder.glob("lease.*"), key=_number):
                if _number(path) <= _number(self.path):
                    path.unlink(missing_ok=True)
        self.path = None

    def _live(self) -> None:
        assert self.path is not None
        while not self._ended.wait(self.beat):
            if _newest(self.folder) != self.path:
                self.lost()
                return
            # Shared files may be out of reach for a while.
            with suppress(OSError):
                os.utime(self.path)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()


def _number(path: Path) -> int:
    return int(path.suffix[1:])


def _newest(folder: Path) -> Path | None:
    return max(folder.glob("lease.*"), key=_number, default=None)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found


def _living(path: Path, expire: float) -> dict[str, Any] | None:
    """What a lease says, if its holder is alive."""
    found = _read(path)
    if found is None:
        return None
    if found["host"] == socket.gethostname():
        return found if _alive(found) else None
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
    return found if age < expire else None


def _launch() -> str:
    """The same for all processes of a distributed run, and for no others."""
    return os.environ.get("TORCHELASTIC_RUN_ID") or f"{socket.gethostname()}.{os.getpid()}"


def _alive(found: dict[str, Any]) -> bool:
    # Another process may have got the number since.
    return lives(found["pid"]) and found["began"] in (None, began(found["pid"]))
