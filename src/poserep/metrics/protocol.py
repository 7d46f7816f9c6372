"""The protocol of an evaluation: all that its numbers depend on besides the weights."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

# Entries in which the results of one table may differ.
COMPARED = ("readout", "size")
# How predictions were made. Two sides of a comparison may differ in it, unlike in the truth and the metric.
PREDICTION = frozenset(
    {
        *("flip_test", "readout", "score", "temperature", "score_threshold", "size", "align", "crop", "pictures"),
        "decoding",
    }
)
# The kind of boxes and the readout of results that another program wrote, and what is said of them.
UNKNOWN, FINISHED = "unknown", "results"
GIVEN = "of another program, as they stand (its boxes, flip test and input are not known)"
OPTION_NAMES = {
    "nms_threshold": "OKS-NMS",
    "clip": "boxes clipped",
    "inclusive": "inclusive boxes",
    "strict": "strictly below",
    "max_detections": "predictions of an image that count:",
    "boxes": "boxes from",
}
# Values that a line does not mention.
USUAL: Mapping[str, Any] = {
    "padding": 1.25,
    "bgr": False,
    "whole": False,
    "inclusive": None,
    "clip": "exact",
    "category": None,
    "boxes": "annotated",
    "fields": None,
    "skip_invalid": False,
    "project": "exact",
    "strict": False,
    "max_detections": 20,
}


@dataclass(frozen=True)
class Protocol:
    """How predictions were made and scored.

    Attributes:
        real: Whether the images are photographs, not drawn.
        split: The annotation file, or files.
        boxes: ``gt``, of annotations, ``det``, of a detector, ``scene`` for whole images without boxes, or
            ``unknown``, of another program, whose results tell neither flip test (None), size nor alignment; there are
            ``instances`` of them.
        hashes: First digits of the SHA-256 of every file that decides who is evaluated.
        score: Definition of a joint's score: ``contract``, ``published`` or ``learnt``.
        temperature: Temperature applied to scores; 1 changes nothing.
        score_threshold: Joints count in a person's score if their own score is above it.
        metric, crop, loader: Options of metric (with its name), crops, and the reader of the files.
        area: Whose area scales OKS; empty where none does.
        size: Size of the network's input, ``HxW`` in px.
        uncounted: Numbers of annotated persons who are left out or can never count as found, by reason.
        joints: Names of the evaluated joints where predictions or data set have others too; empty where these are all.
        pictures: First digits of the hash of all images; empty for drawn ones, and in records of earlier versions.
        decoding: Options of the decoder beside those above, such as those that group joints to people.
    """

    data: str
    real: bool
    split: str
    boxes: str
    hashes: Mapping[str, str]
    instances: int
    flip_test: bool | None
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
    uncounted: Mapping[str, int] = field(default_factory=dict)
    joints: Sequence[str] = field(default_factory=list)
    pictures: str = ""
    decoding: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, record: Mapping[str, Any]) -> Self:
        """Read a record of a result file; entries that it lacks keep their defaults."""
        return cls(**{f.name: record[f.name] for f in fields(cls) if f.name in record})

    def record(self) -> dict[str, Any]:
        """Return the record for a result file."""
        return asdict(self)

    def differs(self, other: "Protocol") -> list[str]:
        """Return the names of the entries in which two protocols differ, but for those that tables compare."""
        one, two = _comparable(self.record()), _comparable(other.record())
        return [name for name in one if name not in COMPARED and one[name] != two[name]]


def _unusual(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options without usual values, which records of versions without such an option lack."""
    return {key: value for key, value in options.items() if key not in USUAL or value != USUAL[key]}


def _comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that decide; who is left out follows from files and options, and older records lack it."""
    unusual = {name: _unusual(record.get(name, {})) for name in ("metric", "crop", "loader")}
    entries = {"joints": [], "decoding": {}, **record}
    return {**{name: entry for name, entry in entries.items() if name != "uncounted"}, **unusual}


def truth_and_metric(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a protocol's record about truth and metric, which two sides of a comparison must share."""
    kept = {name: entry for name, entry in _comparable(record).items() if name not in PREDICTION}
    # Clipping moves the boxes that crops are cut from, and no label.
    return {**kept, "loader": {name: entry for name, entry in kept["loader"].items() if name != "clip"}}


def counted(protocols: Sequence[Protocol]) -> str:
    """Return how many predictions were made, or images looked at, with each kind of boxes."""
    what = {UNKNOWN: "results", "scene": "whole images"}
    return ", ".join(f"{p.instances} {what.get(p.boxes, f'{p.boxes} boxes')}" for p in protocols)


def protocol_line(protocols: Sequence[Protocol]) -> str:
    """Describe the protocol of a run, one for each kind of boxes, in a line; equal lines mean equal protocols."""
    first = protocols[0]
    given = first.boxes == UNKNOWN
    hashes = [*(pair for p in protocols for pair in p.hashes.items()), *(("images", p.pictures) for p in protocols)]
    files = ", ".join(dict.fromkeys(f"{name} {digest}" for name, digest in hashes if digest))
    tempered = f" tempered by {first.temperature:.9g}" if first.temperature != 1 else ""
    measured = {key: value for key, value in first.metric.items() if key not in ("_target_", "area")}
    options = _unusual(measured) | _unusual(first.crop) | _unusual(first.loader)
    made = [
        f"flip test {'on' if first.flip_test else 'off'}",
        f"score {first.score}{tempered} above {first.score_threshold:.9g}",
        f"{first.align} alignment",
    ]
    parts = [
        f"{first.data} {first.split}, {counted(protocols)}" + (f" ({files})" if files else ""),
        *(made if not given else [GIVEN]),
        str(first.metric.get("_target_", "")).split(".")[-1],
        *(f"{OPTION_NAMES.get(key, key)} {value}" for key, value in options.items()),
        *([f"parser with {', '.join(f'{k}={v}' for k, v in first.decoding.items())}"] if first.decoding else []),
        *([f"area of the {first.area}"] if first.area else []),
        *([f"{len(first.joints)} joints ({', '.join(first.joints)})"] if first.joints else []),
    ]
    uncounted = {reason: count for p in protocols for reason, count in p.uncounted.items()}
    if uncounted:
        lost = ", ".join(f"{count} {reason}" for reason, count in uncounted.items())
        parts.append(f"persons who cannot be found: {lost}")
    return ", ".join(parts)
