"""The card of an exported model: what a prediction needs to know besides the weights, kept in the model's file."""

import json
from collections.abc import Callable, Iterator
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

import poserep.codecs
from poserep.codecs import AssociativeEmbedding
from poserep.config import DictConfig, OmegaConf, as_dict, make
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
        scenes: None for models of crops. For those that find people in whole images, what says how these are scaled and
            padded: the options ``multiple``, ``scales``, ``centre`` and ``rounding`` of `SceneDataset`.
        codec: Configuration of the codec that reads people from such a model's maps, see `decoder`.
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
    scenes: dict[str, Any] | None = None
    codec: dict[str, Any] | None = None

    @property
    def takes_boxes(self) -> bool:
        """Tell whether people are cut out by boxes."""
        return not (self.whole or self.scenes)

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

    def check_sides(self, size: Size) -> None:
        """Raise an `InputError` if inputs of a ``size`` would come out of the network at another one."""
        multiple = self.scenes["multiple"] if self.scenes else 1
        if size.height % multiple or size.width % multiple:
            raise InputError(
                f"model {self.run} takes images whose sides are multiples of {multiple} px, not {size}; pad or resize "
                "them, as poserep predict does"
            )

    def decoder(self, source: Path) -> AssociativeEmbedding:
        """Build the codec that reads people from the maps of whole images; its temperature is that of the scores.

        Only classes of `poserep.codecs` are called, whatever a file says: anything else in the card of ``source`` is an
        `InputError`.
        """
        targets = list(_targets(self.codec))
        known = {f"{poserep.codecs.__name__}.{name}" for name in vars(poserep.codecs) if name[0].isupper()}
        if unknown := [target for target in targets if target not in known]:
            raise InputError(
                f"{source}: {unknown[0]}, with which its people are read, is not one of the classes of "
                f"{poserep.codecs.__name__}, and a file may name no others; predict with the run directory"
            )
        codec = make(OmegaConf.create(self.codec), size=self.size, align=self.align)
        codec.temperature.fill_(self.temperature)
        return codec

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


def scene_options(node: DictConfig | None) -> dict[str, Any] | None:
    """Return how a configuration's ``representation.scenes`` scales and pads whole images, see `Card`."""
    if not node:
        return None
    options = {"multiple": 64, "scales": [1.0], "centre": "exact", "rounding": "exact"}
    return options | {key: value for key, value in as_dict(node).items() if key in options}


def decoding_of(node: DictConfig) -> dict[str, Any]:
    """Return what of a configuration's ``representation.codec`` decoding depends on; losses are of training alone."""
    return {key: value for key, value in as_dict(node).items() if key not in ("criterion", "tag_loss")}


def _targets(node: Any) -> Iterator[str]:
    """Yield what a nested configuration calls."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    if isinstance(node, dict):
        for key, value in node.items():
            yield from [str(value)] if key == "_target_" else _targets(value)
