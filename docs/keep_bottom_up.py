"""Put the numbers of the bottom-up sweep into bottom-up.md: its table, and its picture bottom-up-sweep.png.

``python docs/keep_bottom_up.py`` reads results/bottom-up.csv; with ``runs/bottom-up``, reported before, it takes them
from there first, and with the run whose backbone they began from also what that was made with.
"""

import json
import shutil
import sys
from pathlib import Path

from kept_results import draw, made, read, table, written
from matplotlib import rc_context

from poserep.drawing import STYLE

HERE = Path(__file__).parent
RESULTS, PAGE = HERE.parent / "results", HERE / "bottom-up.md"
KEPT, MADE = RESULTS / "bottom-up.csv", RESULTS / "bottom-up-provenance.json"


def main() -> None:
    """Command line."""
    if sys.argv[1:]:
        study = Path(sys.argv[1])
        shutil.copyfile(study / "table.csv", KEPT)
        provenance = {"rows": made(study, read(KEPT))}
        for start in map(Path, sys.argv[2:]):
            provenance["backbone"] = made(start.parent, [{"runs": start.name}])
        MADE.write_text(json.dumps(provenance, indent=2) + "\n")
    PAGE.write_text(written(PAGE.read_text(), "results", table(read(KEPT))))
    with rc_context(STYLE):
        draw(read(KEPT), "whole images").savefig(HERE / "bottom-up-sweep.png", dpi=110, metadata={"Software": None})
    print(f"written: {PAGE}, {HERE / 'bottom-up-sweep.png'}")


if __name__ == "__main__":
    main()
