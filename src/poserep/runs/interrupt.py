"""Stop requests: a training that is asked to stop saves a checkpoint after the running step and continues from it.

SIGTERM, SIGUSR1 and SIGUSR2 ask, a stop file of the sweep or of the launcher asks, and so does the death of the
process that started the run.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from poserep.errors import Stopped
from poserep.runs.lease import is_alive

# Environment variables for the processes of a sweep: who started them; the file by which the sweep's cells are told to
# stop, or not to begin; whether a cell that fails is to tell the others so.
PARENT, STOP_FILE, FAIL_FAST = "POSEREP_PARENT", "POSEREP_STOP", "POSEREP_FAIL_FAST"
# Several such files, any of which may ask: the ranks of a distributed run watch their launcher's beside the sweep's.
STOP_FILES = "POSEREP_STOPS"
SIGNALS = ("SIGTERM", "SIGUSR1", "SIGUSR2")
_POLL = 1.0


class StopRequest:
    """Whether this process is asked to stop.

    Attributes:
        why: What asked; empty while nothing has.
        lost: Whether another process has taken the run over, so that nothing may be saved any more.
    """

    def __init__(self) -> None:
        self.why, self.lost = "", False

    def ask(self, why: str) -> None:
        """Ask to stop at the next opportunity; the first reason is kept."""
        self.why = self.why or why

    def lose(self) -> None:
        """Ask to stop without saving anything, as another process has the run."""
        self.lost = True
        self.ask("another process has taken the run over")

    def check(self) -> None:
        """Raise `Stopped` if asked."""
        if self.why:
            raise Stopped(self.why)

    def catch_signals(self) -> None:
        """Let signals ask; only a process's main thread can receive them."""
        if threading.current_thread() is threading.main_thread():
            for name in SIGNALS:
                signal.signal(getattr(signal, name), self._on_signal)

    def _on_signal(self, number: int, _: Any) -> None:
        self.ask(signal.Signals(number).name)

    @contextmanager
    def listening(self) -> Iterator["StopRequest"]:
        """Listen to everything that may ask, and restore the signal handlers afterwards."""
        main = threading.current_thread() is threading.main_thread()
        before = {name: signal.getsignal(getattr(signal, name)) for name in SIGNALS} if main else {}
        self.catch_signals()
        ended = threading.Event()
        thread = threading.Thread(target=self._watch, args=(ended,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()
            for name, handler in before.items():
                signal.signal(getattr(signal, name), handler)

    def _watch(self, ended: threading.Event) -> None:
        parent = os.environ.get(PARENT)
        names = os.environ.get(STOP_FILES) or os.environ.get(STOP_FILE, "")
        files = [Path(name) for name in names.split(os.pathsep) if name]
        while not ended.wait(_POLL):
            if any(file.is_file() and file.read_text() == "stop" for file in files):
                self.ask("whoever started it was told to stop")
            if parent and not is_alive(int(parent)):
                self.ask("the process that started it ended")


def sweep_is_ending() -> bool:
    """Whether the sweep of this process begins no more cells."""
    file = os.environ.get(STOP_FILE)
    return bool(file) and Path(str(file)).is_file()


def end_sweep_after_failure() -> None:
    """Let the sweep of this process begin no more cells, if it is to end with the first that fails."""
    if os.environ.get(FAIL_FAST) and not sweep_is_ending():
        Path(os.environ[STOP_FILE]).write_text("failed")
