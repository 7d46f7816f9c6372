"""Images that stand in two splits, or in two sets, by what is in their files rather than by their names."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from poserep.data.build import files_of, root_of, skeleton_of
from poserep.data.check.document import Document
from poserep.data.check.headers import Read, spread
from poserep.data.check.image_rules import paths
from poserep.data.check.loading import load, reader, splits
from poserep.errors import InputError


@dataclass(frozen=True)
class Overlap:
    """Images that two parts share.

    Attributes:
        names: Of the parts.
        pairs: A file of each with the same content.
        counts: Different files that were compared of each.
    """

    names: tuple[str, str]
    pairs: Sequence[tuple[Path, Path]]
    counts: tuple[int, int]


def images(cfg: Any, split: str) -> list[Path]:
    """The image files that a split lists, or if its format lists none, those of its persons.

    Raises:
        InputError: If the annotation file cannot be read, or no image file exists.
    """
    root = root_of(cfg)
    file = files_of(cfg, root, split)["annotations"]
    document = Document.read(file, root / cfg.data[split].images)
    if document:
        listed = list(paths(document))
    else:
        loaded = load(cfg, split, skeleton_of(cfg), root)
        if not loaded.instances:
            raise InputError(loaded.refusal)
        listed = [i.image for i in loaded.instances]
    found = sorted({path for path in listed if path.is_file()})
    if not found:
        raise InputError(f"none of the {len(listed)} images of {file} exists; set data.root")
    return found


def overlaps(first: Any, second: Any | None = None, decode: bool = False) -> list[Overlap]:
    """Compare the splits of a set with each other, or with those of a second set.

    Args:
        first: Configuration of a set.
        second: Of the other; None compares within the first.
        decode: Compare pixels, which finds an image in another file format; else files as they are.
    """
    sets = [first] if second is None else [first, second]
    parts = {(i, split): images(cfg, split) for i, cfg in enumerate(sets) for split in splits(cfg)}
    titles = {(i, split): f"{sets[i].data.name} {split}" for i, split in parts}
    known = [
        _pixels({path for (j, _), files in parts.items() if i == j for path in files}, reader(cfg)) if decode else {}
        for i, cfg in enumerate(sets)
    ]
    if not decode:
        known = [_contents({path for files in parts.values() for path in files})] * len(sets)
    # Of files that are the same, the first stands for all; a path stands for a content that only it has.
    digests = {
        (i, split): {known[i].get(path, str(path)): path for path in reversed(files)}
        for (i, split), files in parts.items()
    }
    pairs = [(a, b) for a, b in combinations(parts, 2) if second is None or a[0] != b[0]]
    return [_shared((titles[a], titles[b]), digests[a], digests[b]) for a, b in pairs]


def _pixels(paths: Iterable[Path], read: Read) -> dict[Path, str]:
    unique = sorted(paths)
    return dict(zip(unique, spread(partial(pixels, read=read), unique, "images"), strict=True))


def _contents(paths: Iterable[Path]) -> dict[Path, str]:
    """Hashes of the files that can have a twin: a file of a size that no other has need not be read."""
    sizes = {path: path.stat().st_size for path in paths}
    amount = Counter(sizes.values())
    unique = sorted(path for path, size in sizes.items() if amount[size] > 1)
    return dict(zip(unique, spread(content, unique, "files"), strict=True))


def content(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pixels(path: Path, read: Read) -> str:
    """Hash of an image's pixels, and of its size."""
    image = read(path)
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def _shared(names: tuple[str, str], a: Mapping[str, Path], b: Mapping[str, Path]) -> Overlap:
    both = sorted((a[key], b[key]) for key in a.keys() & b.keys())
    return Overlap(names, both, (len(a), len(b)))
