"""What the loaders of training make of a split."""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poserep.config import make
from poserep.data.build import instances_of
from poserep.data.check.headers import Read
from poserep.data.images import read_image
from poserep.errors import InputError
from poserep.instances import Instance, Tally
from poserep.skeleton import Skeleton


@dataclass
class Loaded:
    """The persons of a split.

    Attributes:
        instances: As training gets them, or would if invalid persons were left out; none if it cannot.
        tally: Of these.
        refusal: Why training would not start, or empty.
    """

    instances: list[Instance] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    refusal: str = ""

    def line(self, boxes: str) -> str:
        """What was read, in one line."""
        lenient = ", with data.skip_invalid=true" if self.refusal and self.instances else ""
        return f"{boxes} boxes{lenient}: {self.tally.line()}"


def load(cfg: Any, split: str, skeleton: Skeleton, root: Path, boxes: str = "gt") -> Loaded:
    """Read a split as it is configured; if that is refused, without its invalid persons."""
    loaded = Loaded()
    try:
        loaded.instances = instances_of(cfg, split, skeleton, root, boxes, loaded.tally)
    except InputError as error:
        loaded = Loaded(refusal=str(error))
        lenient = copy.deepcopy(cfg)
        lenient.data.skip_invalid = True
        try:
            loaded.instances = instances_of(lenient, split, skeleton, root, boxes, loaded.tally)
        except InputError:
            loaded.tally = Tally()
    return loaded


def splits(cfg: Any) -> list[str]:
    """The splits of a set; one that is only for submission has no persons to train on."""
    return ["train", "val"] if labelled(cfg) else ["val"]


def labelled(cfg: Any) -> bool:
    """Whether the set has annotated persons."""
    return bool(cfg.data.get("labelled", True))


def reader(cfg: Any) -> Read:
    """How training reads the images of a set."""
    return make(cfg.data.read) if cfg.data.get("read") else read_image
