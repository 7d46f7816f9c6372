"""The check of a configured data set: every rule on every split and on the detection file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from poserep.config import make
from poserep.data import from_config
from poserep.data.check import person_rules, rules
from poserep.data.check.findings import Finding, Rule, Section
from poserep.data.check.person_rules import PersonArrays
from poserep.data.coco_categories import categories_of, detected_categories
from poserep.data.coco_file import CocoFile, read_detections
from poserep.data.coco_forms import fields_of_joints
from poserep.data.custom_set import unpaired_sides
from poserep.data.from_config import LoadedSplit
from poserep.data.listed_images import ListedImages
from poserep.data.loaders.mpii import NO_JOINTS
from poserep.data.pictures import Picture, each_image, examine, known_pictures, may_be_blank
from poserep.errors import InputError
from poserep.instances import Tally
from poserep.skeleton import Skeleton

UNUSABLE_SKELETON = Rule("skeleton that cannot be used", "mend data.skeleton; nothing else can be checked before")
FILE = Rule("file missing", "set data.root or the file's own key to where it is")
UNREADABLE = Rule("file that cannot be read", "copy or fetch it again")
OTHER_KEYPOINTS = Rule("keypoints that are not the skeleton's", "")
OTHER_CATEGORIES = Rule(
    "annotations of categories that are left out",
    "nothing if that is meant: they have other joints, or data.category leaves them out",
    error=False,
)
ONE_SIDED = Rule(
    "joint of a side that stands in no pair",
    "pair it with that of the other side: mirrored, a left one is learnt as the right one",
    error=False,
)
REFUSED_SPLIT = Rule("split that its loader refuses", "")
UNLABELLED = Rule("split without labelled joints", "")
METRIC = Rule("split that its metric refuses", "")


def validate(cfg: Any, decode: bool = False) -> list[Section]:
    """Return all that is wrong with a data set.

    With ``decode`` every image is decoded as for training, else only those whose files are so small that they may be of
    one colour.
    """
    try:
        skeleton = from_config.skeleton_of(cfg)
    except InputError as error:
        finding = Finding(UNUSABLE_SKELETON, "data.skeleton", str(error))
        return [Section(f"{cfg.data.name}: skeleton", findings=[finding])]
    root = from_config.root_of(cfg)
    sections = [s for split in from_config.splits_of(cfg) for s in _split(cfg, split, skeleton, root, decode)]
    if alone := unpaired_sides(skeleton.names, skeleton.pairs):
        sections[0].findings.append(Finding(ONE_SIDED, f"skeleton {skeleton.name}", ", ".join(alone)))
    return sections


def _split(cfg: Any, split: str, skeleton: Skeleton, root: Path, decode: bool) -> Iterator[Section]:
    """Yield the sections of a split: its persons and images, then the detections on these."""
    files = from_config.split_files(cfg, root, split)
    annotations, folder = files["annotations"], root / cfg.data[split].images
    section = Section(f"{split}: {annotations}")
    section.findings.extend(Finding(FILE, str(path), what) for what, path in files.items() if not path.is_file())
    if not annotations.is_file():
        yield section
        return
    try:
        file = from_config.coco_file_of(cfg, root, split)
    except InputError as error:
        section.findings.append(Finding(UNREADABLE, str(annotations), str(error)))
        yield section
        return
    loaded = LoadedSplit()
    if from_config.is_labelled(cfg):
        loaded = from_config.load_split(cfg, split, skeleton, root)
        section.notes.append(loaded.line("annotated"))
        section.findings.extend(rules.invalid_records(loaded.tally, annotations, cfg.data.skip_invalid))
        others = loaded.tally.left_out["of other categories"]
        section.findings.extend([Finding(OTHER_CATEGORIES, str(annotations), f"{others} annotations")] * (others > 0))
    listed = [path for _, path in file.image_files(folder)] if file else [i.image for i in loaded.instances]
    pictures = _pictures(cfg, folder, listed, decode)
    section.notes.append(f"images: {len(pictures)} in {folder}")
    reader, mended = from_config.image_reader(cfg), bool(loaded.tally.mended["image sizes exchanged"])
    if cfg.data.get("orientation") == "stored" and (ignored := rules.turned(pictures)):
        section.notes.append(f"{ignored} images with an EXIF orientation, left as they are stored")
    section.notes.extend(f"{count} {what}" for what, count in rules.corrected(pictures, reader).items())
    section.findings.extend(rules.picture_findings(pictures, reader, file, folder, mended))
    if file:
        section.findings.extend(_listed(cfg, file, folder, skeleton))
    elif loaded.instances:
        # A reader of other files than photographs may cut them: sizes are those of what it returns.
        known = pictures if decode or not cfg.data.get("read") else {}
        persons = PersonArrays.of_instances(loaded.instances, known, skeleton.num_keypoints)
        section.findings.extend(person_rules.broken_persons(persons, skeleton, cut=False))
    # A rule that is broken says more than the loader's refusal.
    if loaded.refusal and not section.broken():
        reason = loaded.refusal.removeprefix(f"{annotations}: ")
        section.findings.append(Finding(REFUSED_SPLIT, str(annotations), reason))
    if loaded.instances and not any((person.weight > 0).any() for person in loaded.instances):
        section.findings.append(Finding(UNLABELLED, str(annotations), NO_JOINTS))
    elif split == "val" and loaded.instances:
        section.findings.extend(_measured(cfg, loaded, skeleton, root, section.broken()))
    yield section
    if file and "detections" in files and files["detections"].is_file():
        yield _detections(cfg, file, skeleton, root, files["detections"])


def _pictures(cfg: Any, folder: Path, listed: list[Path], decode: bool) -> dict[Path, Picture]:
    pictures, reader = known_pictures(folder, listed), from_config.image_reader(cfg)
    some = [path for path, p in pictures.items() if decode or may_be_blank(path, p)]
    return pictures | each_image(lambda path: examine(path, pictures[path], reader), some)


def _listed(cfg: Any, file: CocoFile, folder: Path, skeleton: Skeleton) -> Iterator[Finding]:
    """Yield what is wrong with a COCO-format file in itself."""
    yield from rules.image_entries(file)
    images = {int(record["id"]): record for record, _ in file.image_files(folder)}
    try:
        labelled = from_config.is_labelled(cfg)
        categories = categories_of(file, skeleton, cfg.data.get("category"), need_keypoints=labelled)
    except InputError as error:
        yield Finding(OTHER_KEYPOINTS, str(file.path), str(error).removeprefix(f"{file.path}: "))
        return
    records = person_rules.usable_annotations(file, images, categories, skeleton.num_keypoints)
    persons = PersonArrays.of_records(records, images, skeleton.num_keypoints)
    yield from person_rules.broken_persons(persons, skeleton, cut=file.form.boxes == "annotated")
    further = [field for field in fields_of_joints(file.annotations or ()) if field != "keypoints"]
    if further and not file.form.fields:
        remedy = f"nothing if that is meant; data.fields=[keypoints,{','.join(further)}] joins them"
        yield Finding(Rule("fields of joints that are not read", remedy, error=False), ", ".join(further))


def _measured(cfg: Any, loaded: LoadedSplit, skeleton: Skeleton, root: Path, broken: bool) -> Iterator[Finding]:
    """Yield what keeps the metric from measuring the evaluated persons."""
    try:
        scorer = make(cfg.data.metric, from_config.truth_of(cfg, loaded.instances, skeleton, root))
    except InputError as error:
        if not broken:
            yield Finding(METRIC, cfg.data.metric._target_.split(".")[-1], str(error))
        return
    if scorer.area == "annotation":
        yield from person_rules.unscaled(loaded.instances)
    if limit := getattr(scorer, "max_detections", None):
        yield from rules.crowded(loaded.instances, limit)


def _detections(cfg: Any, file: CocoFile, skeleton: Skeleton, root: Path, path: Path) -> Section:
    section = Section(f"detections: {path}")
    try:
        records = read_detections(path)
        categories = detected_categories(records, categories_of(file, skeleton, cfg.data.get("category")))
    except InputError as error:
        section.findings.append(Finding(UNREADABLE, str(path), str(error)))
        return section
    loaded = from_config.load_split(cfg, "val", skeleton, root, "det")
    section.notes.append(loaded.line("detected"))
    section.findings.extend(rules.invalid_records(loaded.tally, path, cfg.data.skip_invalid))
    images = ListedImages(file, root / cfg.data.val.images, Tally())
    images.name_by_numbers(record.get("image_id") for record in records if isinstance(record, dict))
    section.findings.extend(rules.detections(records, images, categories))
    if loaded.refusal and not section.broken():
        section.findings.append(Finding(REFUSED_SPLIT, str(path), loaded.refusal))
    return section
