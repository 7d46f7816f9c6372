"""What a prediction needs to know about a model besides its weights; it travels in the model's file."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from poserep.data import read_depth
from poserep.data.decode import read_image
from poserep.errors import InputError
from poserep.geometry import Align, Size
from poserep.skeleton import Skeleton

# Of the entry in an ONNX file's metadata, and of what it holds.
KEY, FORMAT = "poserep", 1
READERS: dict[str, Callable[[Path], np.ndarray]] = {"photographs": read_image, "depths": read_depth}


@dataclass(frozen=True)
class Card:
    """A model's description.

    Attributes:
        run: Name of the run directory, which ends with the run's identity.
        checkpoint: Of the run.
        version: Of this package.
        data: The set that the model was trained on.
        representation: Its name.
        category: What `Skeleton.from_category` reads.
        height: Of the input, px.
        width: Of the input, px.
        channels: Of the input; one is a depth in metres (float32), three are bytes.
        reads: What images are, a key of `READERS`.
        align: See `poserep.geometry.crop_matrix`.
        padding: See `poserep.geometry.box_to_region`, as ``inclusive``.
        inclusive: See there.
        bgr: Channels are in the order blue, green, red.
        whole: The region is the whole image in place of a person's.
        readout: Of the codec.
        flip_test: Whether the mirrored image is averaged in.
        score: Definition of the scores, ``contract`` or ``published``.
        temperature: Of calibrated scores, else 1.
        score_threshold: Joints with a lower score do not count when a person's score is formed.
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

    @property
    def size(self) -> Size:
        """Of the input."""
        return Size(self.height, self.width)

    @cached_property
    def skeleton(self) -> Skeleton:
        """The joints."""
        return Skeleton.from_category(self.category)

    def read(self, path: Path) -> np.ndarray:
        """An image as the model's data are read.

        Raises:
            InputError: If it cannot be read.
        """
        return READERS[self.reads](path)

    def to_json(self) -> str:
        """For a model's file."""
        return json.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str, source: Path) -> Self:
        """Read what `to_json` has written.

        Raises:
            InputError: If it is something else, or of another version; ``source`` is named.
        """
        try:
            found = json.loads(text)
            version = found.pop("format", None)
        except (ValueError, AttributeError, TypeError):
            version, found = None, {}
        if version != FORMAT or set(found) != {field.name for field in fields(cls)}:
            raise InputError(f"{source} was exported by another version of poserep; export the run again")
        return cls(**found)


def category_of(skeleton: Skeleton) -> dict[str, Any]:
    """A skeleton as `Skeleton.from_category` reads it."""
    return {
        "name": skeleton.name,
        "keypoints": list(skeleton.names),
        "pairs": [list(pair) for pair in skeleton.pairs],
        "edges": [list(edge) for edge in skeleton.edges],
        "sigmas": list(skeleton.sigmas),
        "upper": list(skeleton.upper),
    }
