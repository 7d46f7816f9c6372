"""What the loaders of training make of a split, also where training would refuse its invalid records."""

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
    """The persons of a split without the invalid ones, which ``tally`` lists; ``refusal`` says why there are none."""

    instances: list[Instance] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    refusal: str = ""

    def line(self, boxes: str) -> str:
        """Return what was read in one line; ``boxes`` says of which kind."""
        lenient = ", with data.skip_invalid=true" if self.tally.invalid else ""
        return f"{boxes} boxes{lenient}: {self.tally.line()}"

    def required(self) -> list[Instance]:
        """Return the instances, or raise the refusal as an `InputError` if there are none."""
        if not self.instances:
            raise InputError(self.refusal)
        return self.instances


def load_split(cfg: Any, split: str, skeleton: Skeleton, root: Path, boxes: str = "gt") -> LoadedSplit:
    """Read a split as if ``data.skip_invalid`` were true."""
    lenient, loaded = cfg.copy(), LoadedSplit()
    lenient.data.skip_invalid = True
    try:
        loaded.instances = instances_of(lenient, split, skeleton, root, boxes, loaded.tally)
    except InputError as error:
        loaded.refusal = str(error)
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
