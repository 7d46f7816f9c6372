"""Stop requests: a training that is asked to stop saves a checkpoint after the running step, to continue from.

SIGTERM, SIGUSR1 and SIGUSR2 ask, a stop file of the sweep or of the launcher asks, and so does the death of the
process that started the run.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from poserep.errors import Stopped
from poserep.runs.lease import is_alive

# Environment variables for the processes of a sweep: the process that started them; the file that tells the sweep's
# cells to stop, or not to begin; whether a cell that fails is to write it. The ranks of a distributed run watch their
# launcher's file beside the sweep's: for them it names both, on lines of their own.
PARENT, STOP_FILE, FAIL_FAST = "POSEREP_PARENT", "POSEREP_STOP", "POSEREP_FAIL_FAST"
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_POLL = 1.0


@contextmanager
def handled_by(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Let a function handle the signals that ask to stop, and restore the handlers afterwards."""
    # No other thread can receive signals.
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in SIGNALS} if main else {}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class StopRequest:
    """Records ``why`` this process is asked to stop, empty while it is not.

    A run that is ``lost`` has been taken over by another process, so that nothing may be saved any more.
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

    def on_signal(self, number: int, _: Any) -> None:
        """Ask to stop: the handler of signals."""
        self.ask(signal.Signals(number).name)

    @contextmanager
    def listening(self) -> Iterator["StopRequest"]:
        """Listen to everything that may ask, and restore the signal handlers afterwards."""
        ended = threading.Event()
        thread = threading.Thread(target=self._watch, args=(ended,), daemon=True)
        thread.start()
        try:
            with handled_by(self.on_signal):
                yield self
        finally:
            ended.set()
            thread.join()

    def _watch(self, ended: threading.Event) -> None:
        parent = os.environ.get(PARENT)
        files = [Path(name) for name in os.environ.get(STOP_FILE, "").splitlines()]
        while not ended.wait(_POLL):
            if any(file.is_file() and file.read_text() == "stop" for file in files):
                self.ask("the sweep or launcher that started it was stopped")
            if parent and not is_alive(int(parent)):
                self.ask("the process that started it ended")


def sweep_is_ending() -> bool:
    """Return whether the sweep of this process begins no more cells."""
    return Path(os.environ.get(STOP_FILE, "")).is_file()


def end_sweep_after_failure() -> None:
    """Let the sweep of this process begin no more cells, if it is to end with the first that fails."""
    if os.environ.get(FAIL_FAST) and not sweep_is_ending():
        Path(os.environ[STOP_FILE]).write_text("failed")
