"""The card of an exported model: what a prediction needs to know besides the weights, kept in the model's file."""

import json
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from poserep.data import read_depth
from poserep.data.image_files import Orientation, PhotographReader
from poserep.errors import InputError
from poserep.geometry import Align, Size
from poserep.skeleton import Skeleton

# Key of the card in an ONNX file's metadata, and version of what it holds.
METADATA_KEY, _FORMAT = "poserep", 1


@dataclass(frozen=True)
class Card:
    """A model's description: the names of its run, checkpoint, data set, representation and readout, and more.

    Attributes:
        version: Version of this package.
        category: The skeleton as `Skeleton.from_category` reads it.
        height: Height of the input, px, as ``width``.
        channels: Channels of the input: one is a depth in metres (float32), three are bytes.
        reads: What images are: ``photographs`` or ``depths``.
        align: Alignment of the crop, see `poserep.geometry.crop_matrix`.
        padding: Enlargement of boxes, see `poserep.geometry.box_to_region`, as ``inclusive``.
        bgr: Whether channels are in the order blue, green, red.
        whole: Whether the region is the whole image in place of a person's.
        flip_test: Whether the mirrored image is averaged in.
        score: Definition of the scores, ``contract`` or ``published``.
        temperature: Temperature of calibrated scores, else 1.
        score_threshold: Joints with a lower score do not count when a person's score is formed.
        orientation, range: How photographs are read, see `poserep.data.image_files.PhotographReader`.
    """

    run: str
    checkpoint: str
    version: str
    data: str
    representation: str
    category: dict[str, Any]
    height: int
    width: int
    channels: int
    reads: str
    align: Align
    padding: float
    inclusive: bool | None
    bgr: bool
    whole: bool
    readout: str
    flip_test: bool
    score: str
    temperature: float
    score_threshold: float
    orientation: Orientation = "stored"
    range: tuple[float, float] | None = None

    @property
    def reader(self) -> Callable[[Path], np.ndarray]:
        """Return the function that reads an image file."""
        return PhotographReader(self.orientation, self.range) if self.reads == "photographs" else read_depth

    @property
    def size(self) -> Size:
        """Return the size of the input."""
        return Size(self.height, self.width)

    @cached_property
    def skeleton(self) -> Skeleton:
        """Return the skeleton of ``category``."""
        return Skeleton.from_category(self.category)

    def to_json(self) -> str:
        """Return the text for a model's metadata."""
        return json.dumps({"format": _FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str, source: Path) -> Self:
        """Return the card that `to_json` has written; an `InputError` names the ``source`` of anything else."""
        try:
            values = json.loads(text)
            version = values.pop("format", None)
        except (ValueError, AttributeError, TypeError):
            version, values = None, {}
        known = {field.name: field.default is MISSING for field in fields(cls)}
        if version != _FORMAT or not {name for name, needed in known.items() if needed} <= set(values) <= set(known):
            raise InputError(f"{source} was exported by another version of poserep; export the run again")
        return cls(**values)


def reads_of(node: Any) -> str:
    """Return what images are that a configuration's ``data.read`` reads, see `Card`; photographs if it has none."""
    target = node._target_ if node else ""
    if target.split(".")[-1] not in ("", read_depth.__name__):
        raise InputError(f"data.read={target} is not available in exported models (available: {read_depth.__name__})")
    return "depths" if target else "photographs"
