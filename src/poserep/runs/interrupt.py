"""Asking a training to stop: it saves what it has after the running step, and goes on from there when run again."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from poserep.errors import Stopped
from poserep.runs.processes import lives

# Given to the processes of a sweep: who started them; a file by which its cells are told to stop, or to leave what has
# not begun; whether a cell that fails is to tell the others so.
PARENT, FILE, FAIL_FAST = "POSEREP_PARENT", "POSEREP_STOP", "POSEREP_FAIL_FAST"
# Several such files, of which each may say so; for the processes of a distributed run, beside the sweep's their own.
FILES = "POSEREP_STOPS"
SIGNALS = ("SIGTERM", "SIGUSR1", "SIGUSR2")
POLL = 1.0


class Request:
    """Whether this process is to stop, which signals, a file, or the death of the process that started it may ask.

    Attributes:
        why: What asked; empty while nothing has.
        lost: Whether another process has taken the run over, so that nothing may be saved any more.
    """

    def __init__(self) -> None:
        self.why, self.lost = "", False

    def ask(self, why: str) -> None:
        """Stop at the next opportunity."""
        self.why = self.why or why

    def lose(self) -> None:
        """Stop and leave everything as it is."""
        self.lost = True
        self.ask("another process has taken the run over")

    def check(self) -> None:
        """Raise `Stopped` if asked."""
        if self.why:
            raise Stopped(self.why)

    def catch_signals(self) -> None:
        """Let signals ask; only the main thread can, others leave that to it."""
        if threading.current_thread() is threading.main_thread():
            for name in SIGNALS:
                signal.signal(getattr(signal, name), self._on_signal)

    def _on_signal(self, number: int, _: Any) -> None:
        self.ask(signal.Signals(number).name)

    @contextmanager
    def listening(self) -> Iterator["Request"]:
        """Listen to everything that may ask, and afterwards as before."""
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
        parent, named = os.environ.get(PARENT), os.environ.get(FILES) or os.environ.get(FILE, "")
        files = [Path(file) for file in named.split(os.pathsep) if file]
        while not ended.wait(POLL):
            if any(stops(file) for file in files):
                self.ask("whoever started it was told to stop")
            if parent and not lives(int(parent)):
                self.ask("the process that started it ended")


def stops(file: Path) -> bool:
    """Whether the file asks running cells to stop."""
    return file.is_file() and file.read_text() == "stop"


def told_to_leave() -> bool:
    """Whether the sweep begins no more cells."""
    file = os.environ.get(FILE)
    return bool(file) and Path(str(file)).is_file()


def leave_the_rest() -> None:
    """Let the sweep begin no more cells, if it is to end with the first that fails."""
    if os.environ.get(FAIL_FAST) and not told_to_leave():
        Path(os.environ[FILE]).write_text("failed")
