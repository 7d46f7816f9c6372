"""All that an evaluation's numbers depend on besides the weights: numbers compare if their protocols agree."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

# What may differ in one column of a table, as it is what tables compare.
COMPARED = ("readout", "size")
# How predictions were made may be what is compared; whom they are held against, and by what, may not.
MADE = frozenset({"flip_test", "readout", "score", "temperature", "score_threshold", "size", "align", "crop"})
NAMES = {
    "nms_threshold": "OKS-NMS",
    "clip": "boxes clipped",
    "inclusive": "centres of pixels",
    "strict": "strictly below",
}
# Said nowhere, as every data set's file says it.
USUAL: Mapping[str, Any] = {
    "padding": 1.25,
    "bgr": False,
    "whole": False,
    "inclusive": None,
    "clip": "exact",
    "skip_invalid": False,
    "project": "exact",
    "strict": False,
}


@dataclass(frozen=True)
class Protocol:
    """How predictions were made and scored.

    Attributes:
        data: Name of the data set.
        real: Photographs, or drawn.
        split: The annotation file.
        boxes: ``gt``, of annotations, or ``det``, of a detector.
        hashes: First digits of the SHA-256 of every file that decides who is evaluated.
        instances: How many boxes.
        flip_test: Averaged over the mirrored image.
        readout: How coordinates were read.
        score: Definition of a joint's score: ``contract`` or ``published``.
        temperature: By which scores are tempered, 1 if they are not.
        score_threshold: Joints below it do not count in a person's score.
        metric: Name and options, among them OKS-NMS.
        area: Whose area scales OKS, empty where nothing is scaled by one.
        size: Of the network's input.
        align: Of crops and bins.
        crop: Padding and quirks of the crops.
        loader: Options by which the files are read.
    """

    data: str
    real: bool
    split: str
    boxes: str
    hashes: Mapping[str, str]
    instances: int
    flip_test: bool
    readout: str
    score: str
    temperature: float
    score_threshold: float
    metric: Mapping[str, Any]
    area: str
    size: str
    align: str
    crop: Mapping[str, Any] = field(default_factory=dict)
    loader: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, record: Mapping[str, Any]) -> Self:
        """From a result file; what it does not know stays as it is by default."""
        return cls(**{f.name: record[f.name] for f in fields(cls) if f.name in record})

    def record(self) -> dict[str, Any]:
        """For a result file."""
        return asdict(self)

    def differs(self, other: "Protocol") -> list[str]:
        """Names of the entries in which two protocols differ, those that tables compare aside."""
        mine, others = self.record(), other.record()
        return [name for name in mine if name not in COMPARED and mine[name] != others[name]]


def judged(record: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a protocol's record that say whom predictions are held against, and by what."""
    kept = {name: entry for name, entry in record.items() if name not in MADE}
    # Clipping moves the boxes that crops are cut from, and no label.
    return {**kept, "loader": {name: entry for name, entry in record.get("loader", {}).items() if name != "clip"}}


def line(protocols: Sequence[Protocol]) -> str:
    """What makes numbers comparable, on one line for the kinds of boxes of a run; equal lines, equal protocols."""
    first = protocols[0]
    counts = ", ".join(f"{p.instances} {p.boxes} boxes" for p in protocols)
    files = ", ".join(dict.fromkeys(f"{name} {digest}" for p in protocols for name, digest in p.hashes.items()))
    tempered = f" tempered by {first.temperature:.9g}" if first.temperature != 1 else ""
    options: dict[str, Any] = {}
    measured = {key: value for key, value in first.metric.items() if key not in ("_target_", "area")}
    for more in (measured, first.crop, first.loader):
        options |= {key: value for key, value in more.items() if key not in USUAL or value != USUAL[key]}
    parts = [
        f"{first.data} {first.split}, {counts}" + (f" ({files})" if files else ""),
        f"flip test {'on' if first.flip_test else 'off'}",
        f"score {first.score}{tempered} above {first.score_threshold:.9g}",
        f"{first.align} alignment",
        str(first.metric.get("_target_", "")).split(".")[-1],
        *(f"{NAMES.get(key, key)} {value}" for key, value in options.items()),
        *([f"area of the {first.area}"] if first.area else []),
    ]
    return ", ".join(parts)
