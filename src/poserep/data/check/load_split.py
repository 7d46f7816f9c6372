"""What the loaders of training make of a split, also where training would refuse it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poserep.data.coco_file import CocoFile, NotCoco, read_coco
from poserep.data.from_config import instances_of, split_files
from poserep.errors import InputError
from poserep.instances import Instance, Tally
from poserep.skeleton import Skeleton


@dataclass
class LoadedSplit:
    """The persons of a split as training gets them, or would if invalid ones were left out, and why it would not start.

    There are no ``instances`` if training cannot have any; ``refusal`` is empty if it can start.
    """

    instances: list[Instance] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    refusal: str = ""

    def line(self, boxes: str) -> str:
        """Return what was read in one line; ``boxes`` says of which kind."""
        lenient = ", with data.skip_invalid=true" if self.refusal and self.instances else ""
        return f"{boxes} boxes{lenient}: {self.tally.line()}"

    def required(self) -> list[Instance]:
        """Return the instances, or raise the refusal as an `InputError` if there are none."""
        if not self.instances:
            raise InputError(self.refusal)
        return self.instances


def load_split(cfg: Any, split: str, skeleton: Skeleton, root: Path, boxes: str = "gt") -> LoadedSplit:
    """Read a split as it is configured; if that is refused, without its invalid persons."""
    loaded = LoadedSplit()
    try:
        loaded.instances = instances_of(cfg, split, skeleton, root, boxes, loaded.tally)
    except InputError as error:
        loaded = LoadedSplit(refusal=str(error))
        lenient = cfg.copy()
        lenient.data.skip_invalid = True
        try:
            loaded.instances = instances_of(lenient, split, skeleton, root, boxes, loaded.tally)
        except InputError:
            loaded.tally = Tally()
    return loaded


def coco_file_of(cfg: Any, root: Path, split: str) -> CocoFile | None:
    """Return a split's annotation file, or None if it has another format than COCO's."""
    path = split_files(cfg, root, split)["annotations"]
    if path.suffix != ".json":
        return None
    try:
        return read_coco(path)
    except NotCoco:
        return None
