"""Draw pictures in several processes and hand them back in one order."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2

# Pictures that each process draws before it is seen how many people are still missing, and at a time.
_ROUND, _CHUNK = 24, 4
_T = TypeVar("_T")


@contextmanager
def pool_of(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    """Start processes with single-threaded OpenCV; None for at most one worker: then this process does the work."""
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
    with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield pool


def in_order(
    pool: ProcessPoolExecutor | None, draw: Callable[[int], _T], workers: int, missing: Callable[[], int]
) -> Iterator[_T]:
    """Yield ``draw(0)``, ``draw(1)`` ... in that order for as long as something is missing.

    Args:
        pool: Processes to draw in, or None.
        draw: Must not depend on anything but the index.
        workers: Number of processes; bounds how far they run ahead.
        missing: How many results are missing at least, going by those yielded so far.
    """
    start = 0
    while missing() > 0:
        indices = range(start, start + min(missing(), _ROUND * workers))
        start = indices.stop
        for result in pool.map(draw, indices, chunksize=_CHUNK) if pool else map(draw, indices):
            if missing() <= 0:
                break
            yield result
