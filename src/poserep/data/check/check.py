"""Validate a configured data set: every rule on every split and on the detection file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from poserep.config import make
from poserep.data.build import files_of, root_of, skeleton_of, truth_of
from poserep.data.check import image_rules, person_rules
from poserep.data.check.detection_rules import detections
from poserep.data.check.document import Document
from poserep.data.check.findings import Finding, Rule, Section
from poserep.data.check.headers import Header, Read, headers
from poserep.data.check.loading import Loaded, labelled, load, splits
from poserep.data.check.persons import Persons, identities, people, sound
from poserep.data.fields import read_json
from poserep.errors import InputError
from poserep.skeleton import Skeleton

SKELETON = Rule("skeleton that cannot be used", "mend data.skeleton; nothing else can be checked before")
FILE = Rule("file missing", "set data.root or the file's own key to where it is")
UNREADABLE = Rule("file that cannot be read", "copy or fetch it again")
CATEGORY = Rule("keypoints that are not the skeleton's", "set data.skeleton to the file's keypoints, in its order")
REFUSED = Rule("split that its loader refuses", "")
METRIC = Rule("split that its metric refuses", "")


def check(cfg: Any, decode: Read | None = None) -> list[Section]:
    """All that is wrong with a data set.

    Args:
        cfg: As for training.
        decode: Reads images; None looks at their headers and ends only.
    """
    try:
        skeleton = skeleton_of(cfg)
    except InputError as error:
        return [Section(f"{cfg.data.name}: skeleton", findings=[Finding(SKELETON, "data.skeleton", str(error))])]
    root = root_of(cfg)
    found: list[Section] = []
    for split in splits(cfg):
        found += _split(cfg, split, skeleton, root, decode)
    return found


def _split(cfg: Any, split: str, skeleton: Skeleton, root: Path, decode: Read | None) -> Iterator[Section]:
    """The sections of a split: its persons and images, then the detections on these."""
    files = files_of(cfg, root, split)
    section = Section(f"{split}: {files['annotations']}", bool(cfg.data.skip_invalid))
    section.add(Finding(FILE, str(path), what) for what, path in files.items() if not path.is_file())
    if not files["annotations"].is_file():
        yield section
        return
    folder = root / cfg.data[split].images
    try:
        document = Document.read(files["annotations"], folder)
    except InputError as error:
        section.add([Finding(UNREADABLE, str(files["annotations"]), str(error))])
        yield section
        return
    loaded = load(cfg, split, skeleton, root) if labelled(cfg) else Loaded()
    if labelled(cfg):
        section.notes.append(loaded.line("annotated"))
    # Readers of other files than photographs cut them as they like: sizes compare with what they return.
    comparable = decode is not None or not cfg.data.get("read")
    listed = list(image_rules.paths(document)) if document else [i.image for i in loaded.instances]
    images = headers(listed, decode)
    section.notes.append(f"images: {len(images)} in {folder}")
    section.add(image_rules.files(images))
    known = images if comparable else {}
    if document:
        section.add(_listed(document, skeleton, known, loaded))
    elif loaded.instances:
        persons = Persons.of_instances(loaded.instances, known, skeleton.num_keypoints)
        section.add(_persons(persons, skeleton, cut=False))
    # Rules say more, where one of them has found the reason.
    if loaded.refusal and not section.broken():
        section.add([Finding(REFUSED, str(files["annotations"]), loaded.refusal)])
    if split == "val" and loaded.instances:
        section.add(_measured(cfg, loaded, skeleton, root, section.broken()))
    yield section
    if document and "detections" in files and files["detections"].is_file():
        yield _detections(cfg, document, skeleton, root, files["detections"])


def _listed(document: Document, skeleton: Skeleton, images: dict[Path, Header], loaded: Loaded) -> Iterator[Finding]:
    """What is wrong with a COCO-format file, against its images."""
    yield from image_rules.listed(document)
    yield from image_rules.sizes(document, images, bool(loaded.tally.mended["image sizes exchanged"]))
    yield from identities(document)
    try:
        category = document.category(skeleton)
    except InputError as error:
        yield Finding(CATEGORY, str(document.path), str(error).removeprefix(f"{document.path}: "))
        return
    records, malformed = sound(people(document, category), skeleton.num_keypoints)
    yield from malformed
    yield from _persons(Persons.of_records(document, records, skeleton.num_keypoints), skeleton, cut=True)


def _persons(persons: Persons, skeleton: Skeleton, cut: bool) -> Iterator[Finding]:
    yield from person_rules.boxes(persons, cut)
    yield from person_rules.areas(persons)
    yield from person_rules.keypoints(persons, skeleton)
    yield from person_rules.counts(persons, skeleton)


def _measured(cfg: Any, loaded: Loaded, skeleton: Skeleton, root: Path, broken: bool) -> Iterator[Finding]:
    """What keeps the metric from measuring the evaluated persons."""
    try:
        scorer = make(cfg.data.metric, truth_of(cfg, loaded.instances, skeleton, root))
    except InputError as error:
        if not broken:
            yield Finding(METRIC, cfg.data.metric._target_.split(".")[-1], str(error))
        return
    if scorer.area == "annotation":
        yield from person_rules.unscaled(loaded.instances)


def _detections(cfg: Any, document: Document, skeleton: Skeleton, root: Path, path: Path) -> Section:
    section = Section(f"detections: {path}", bool(cfg.data.skip_invalid))
    try:
        records = read_json(path, "detection file")
        category = document.category(skeleton)
    except InputError as error:
        section.add([Finding(UNREADABLE, str(path), str(error))])
        return section
    loaded = load(cfg, "val", skeleton, root, "det")
    section.notes.append(loaded.line("detected"))
    section.add(detections(records, set(document.pictures()), category))
    if loaded.refusal and not section.broken():
        section.add([Finding(REFUSED, str(path), loaded.refusal)])
    return section
