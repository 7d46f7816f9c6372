"""Time of a sample by stage: reading, augmentation, warp and the rest."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pkgutil import resolve_name
from statistics import median
from typing import Any
from unittest.mock import patch

# The functions that do it. OpenCV's imread reads and decodes.
STAGES = {
    "read": ["poserep.data.crop_reader.read_bytes", "poserep.data.cache.read_bytes"],
    "decode": ["cv2.imdecode", "cv2.imread"],
    "cache": ["poserep.data.cache.ImageCache.rows"],
    "colour": ["cv2.cvtColor"],
    "warp": ["cv2.warpAffine"],
    "normalise": ["torchvision.transforms.Compose.__call__"],
    "targets": ["field.FieldDataset._targets"],
}


class Clock:
    """Sums seconds by stage, each without the stages inside it."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner = [0.0]

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function so that its time is counted."""

        def watched(*args: Any, **options: Any) -> Any:
            self._inner.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                passed = time.perf_counter() - start
                self.seconds[stage] += passed - self._inner.pop()
                self._inner[-1] += passed

        return watched

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time all `STAGES`."""
        with ExitStack() as stack:
            for stage, names in STAGES.items():
                for name in names:
                    stack.enter_context(patch(name, self.timed(stage, resolve_name(name))))
            yield


def stages(ways: dict[str, Callable[[], None]], samples: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the median ms per sample by stage, and ``rest`` outside them; timed apart, as watching costs time."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            clock = Clock()
            with clock.watching():
                clock.timed("rest", way)()
            found[name].append({stage: 1000 * s / samples for stage, s in clock.seconds.items()})
    return {name: {key: median(f[key] for f in all_) for key in all_[0]} for name, all_ in found.items()}
