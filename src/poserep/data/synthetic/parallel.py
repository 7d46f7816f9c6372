"""Draw pictures in several processes and hand them back in one order."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2

CHUNK = 8
T = TypeVar("T")


def _one_thread() -> None:
    cv2.setNumThreads(1)


@contextmanager
def pool_of(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    """Processes with single-threaded OpenCV, or None for at most one worker: then this process does the work."""
    if workers <= 1:
        before = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield None
        finally:
            cv2.setNumThreads(before)
        return
    # A forked child inherits the locks of threads that it does not have, torch's among them, and can wait for ever.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def in_order(
    pool: ProcessPoolExecutor | None, draw: Callable[[range], list[T]], workers: int, missing: Callable[[], int]
) -> Iterator[T]:
    """What ``draw`` makes of 0, 1, 2 ..., in that order, for as long as something is missing.

    Args:
        pool: Processes to draw in, or None.
        draw: Makes one result per index of a range; must not depend on anything but the index.
        workers: Number of processes; bounds how far they run ahead.
        missing: How many results are missing at least, going by those yielded so far.

    Yields:
        Results in the order of their indices, whatever the number of workers.
    """
    start = 0
    waiting: deque[tuple[range, Future[list[T]] | None]] = deque()
    try:
        while missing() > 0:
            # Nearly every picture shows somebody, so more pictures than missing people would mostly be thrown away.
            while not waiting or (len(waiting) < 3 * workers and sum(len(r) for r, _ in waiting) < missing()):
                todo = range(start, start + min(CHUNK, missing()))
                waiting.append((todo, pool.submit(draw, todo) if pool else None))
                start = todo.stop
            todo, future = waiting.popleft()
            for result in future.result() if future else draw(todo):
                if missing() > 0:
                    yield result
    finally:
        for _, future in waiting:
            if future:
                future.cancel()
