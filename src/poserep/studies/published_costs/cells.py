"""Numbers that papers print, and how our counts agree with them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

KEYS = ("params", "backbone", "other", "gflops")
GOOD = ("rounds", "truncates", "within 1 %")


@dataclass(frozen=True)
class PrintedCell:
    """One row of a paper's table (``table``, for example ``simcc-1``): its printed numbers and our counts.

    ``row`` is the scheme as the table calls it, ``counting`` how the paper counted GFLOPs. ``printed`` has ``params``,
    ``backbone``, ``other`` (than the backbone's) and ``gflops`` as printed, those that are. ``ours`` has all of these
    in millions and in the counting's unit (10^9, or 2^30 for ``hrnet``), and true ``gmacs``, 10^9; it is empty if the
    network cannot be built. ``excuses`` say why a number differs, by its key; ``all`` if it cannot be built.
    """

    table: str
    network: str
    row: str
    size: str
    counting: str
    printed: dict[str, str]
    ours: dict[str, float]
    excuses: dict[str, str]

    def shown(self) -> tuple[str, str]:
        """Return printed parameters and ours as texts; backbone and others apart where the paper prints them so."""
        keys = [key for key in ("params", "backbone", "other") if key in self.printed]
        ours = (f"{self.ours[key]:.3f}" for key in keys if self.ours)
        return " + ".join(self.printed[key] for key in keys), " + ".join(ours)

    def verdicts(self) -> dict[str, str]:
        """Say how every printed number agrees with ours: one of `GOOD`, ``differs``, or ``not built``."""
        if not self.ours:
            return dict.fromkeys(self.printed, "not built")
        tolerance = {"gflops": 0.01}
        return {key: verdict(text, self.ours[key], tolerance.get(key, 0.0)) for key, text in self.printed.items()}

    def stale(self) -> list[str]:
        """Return the keys of numbers that are excused although they agree."""
        verdicts = self.verdicts()
        return [key for key in self.excuses if key != "all" and verdicts.get(key) in (*GOOD, None)]

    def unexplained(self) -> list[str]:
        """Return the keys of numbers that differ without an excuse."""
        if "all" in self.excuses:
            return []
        return [key for key, word in self.verdicts().items() if word not in GOOD and key not in self.excuses]


def verdict(printed: str, ours: float, tolerance: float = 0.0) -> str:
    """Return ``rounds`` or ``truncates`` if ours is printed so, ``within 1 %`` if it is near, else ``differs``."""
    decimals = len(printed.partition(".")[2])
    if f"{ours:.{decimals}f}" == printed:
        return "rounds"
    if f"{math.floor(ours * 10**decimals) / 10**decimals:.{decimals}f}" == printed:
        return "truncates"
    return "within 1 %" if tolerance and abs(ours / float(printed) - 1) <= tolerance else "differs"


def printed_cells(node: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield table, row and numbers of every cell that a network of the sweep file stands for."""
    numbers = {key: node["printed"][key] for key in KEYS if key in node["printed"]}
    for places in (node["printed"], node.get("also") or {}):
        for table in places.get("tables", ()):
            for row in places["rows"]:
                yield table, row, numbers
