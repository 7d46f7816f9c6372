"""Memory of loader processes that read the same persons, as a table and as a list of objects."""

import gc
import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from poserep.instances import Instance, InstanceTable

SHARES = Path("/proc/self/smaps_rollup")
# By each worker, however many persons there are: reading also makes Python's own memory less shared.
READS = 150_000


def workers_memory(kind: str, persons: int, most: int = 4) -> list[dict[str, float]] | None:
    """Measure the MB (10^6 bytes) of a process with persons and of 0 to ``most`` forked workers that read them.

    Measured in a process of its own; None where there is no /proc.

    Args:
        kind: ``table`` or ``list``.
        persons: Number of them.
        most: Workers.

    Returns:
        For each number of workers: ``total``, the proportional set sizes of all processes, in which shared memory
        counts once, and ``private``, what a worker has to itself on average; both without mapped files, as other
        programs that use the same libraries would change their share.
    """
    if not SHARES.is_file():
        return None
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, kind, persons, most).result()


def _measure(kind: str, persons: int, most: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(0)
    made = (
        Instance(
            Path(f"/data/coco/images/train2017/{i:012d}.jpg"),
            i,
            i,
            rng.random(4),
            rng.random((17, 2), np.float32),
            np.ones(17, np.float32),
        )
        for i in range(persons)
    )
    data: Any = InstanceTable(made) if kind == "table" else list(made)
    gc.collect()
    return [_with_workers(data, number) for number in range(most + 1)]


def _with_workers(data: Any, number: int) -> dict[str, float]:
    context = multiprocessing.get_context("fork")
    pairs = [context.Pipe() for _ in range(number)]
    workers = [context.Process(target=_read_all, args=(data, theirs)) for _, theirs in pairs]
    for worker in workers:
        worker.start()
    # All have read everything before any is measured, and live on until all are.
    for ours, _ in pairs:
        ours.recv()
    found = [_shares()]
    for ours, _ in pairs:
        ours.send("measure")
        found.append(ours.recv())
    for ours, _ in pairs:
        ours.send("end")
    for worker in workers:
        worker.join()
    private = [f["private"] for f in found[1:]]
    return {
        "workers": number,
        "total": sum(f["proportional"] for f in found),
        "private": sum(private) / number if number else 0.0,
    }


def _read_all(data: Any, parent: Connection) -> None:
    for i in range(READS):
        person = data[i % len(data)]
        _ = str(person.image), person.box[0], person.keypoints[0], person.weight[0]
    parent.send("ready")
    while parent.recv() == "measure":
        parent.send(_shares())


def _shares() -> dict[str, float]:
    sizes = {key: int(kb) * 1024 / 1e6 for key, kb in re.findall(r"^(\w+):\s+(\d+) kB", SHARES.read_text(), re.M)}
    return {"proportional": sizes["Pss_Anon"], "private": sizes["Private_Dirty"]}
