"""The checkpoints that a run continues from: written whole, two of them kept, and the last one that can be read."""

import sys
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from poserep.errors import first_line
from poserep.files import replacing
from poserep.runs.rundir import RunDir

# The checkpoint of the last epoch or stop, the one before, and that of the best epoch.
LAST, PREVIOUS, BEST = "last", "previous", "best"


class KeptCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, and keeps the one that was the last before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a file; the earlier file of that name is kept if it is the last checkpoint of a run."""
        file = Path(path)
        with replacing(file) as partial:
            with partial.open("wb") as opened:
                torch.save(checkpoint, opened)
            if file.stem == LAST and file.is_file():
                file.replace(file.with_stem(PREVIOUS))


def delete_partial(run_dir: RunDir) -> None:
    """Delete the unfinished checkpoints that a process left behind that was killed; the caller holds the run."""
    for file in (run_dir.checkpoint(LAST), run_dir.checkpoint(BEST)):
        for partial in file.parent.glob(f".*.{file.name}"):
            partial.unlink(missing_ok=True)


def checkpoint_to_resume(run_dir: RunDir, say: bool = True) -> tuple[Path | None, dict[str, Any]]:
    """Return the newest checkpoint of a run that can be read, and its content; None and nothing if there is none.

    A file that cannot be read, as after the disk was full, is named if ``say`` is set, and passed over.
    """
    for name, remedy in ((LAST, "the checkpoint before is taken, if there is one"), (PREVIOUS, "the run begins anew")):
        path = run_dir.checkpoint(name)
        if not path.is_file():
            continue
        try:
            return path, torch.load(path, map_location="cpu", weights_only=True)
        # Damaged archives fail in many ways.
        except Exception as error:
            if say:
                # The first sentence of PyTorch's says what is wrong, the others guess at causes.
                why = first_line(error).split(". ")[0]
                print(f"note: {path} cannot be read ({why}); {remedy}", file=sys.stderr, flush=True)
                # It must not take the place of the one before at the next save.
                path.unlink(missing_ok=True)
    return None, {}
