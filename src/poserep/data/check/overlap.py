"""Images that two splits or two sets share, by the content of their files rather than by their names."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from poserep.data.from_config import image_reader, root_of, split_files, splits_of
from poserep.data.pictures import ImageReader, each_image
from poserep.data.split_pictures import listed_pictures
from poserep.errors import InputError


@dataclass(frozen=True)
class Overlap:
    """Images that two splits share: pairs of files with the same content; and how many different files each has."""

    names: tuple[str, str]
    pairs: Sequence[tuple[Path, Path]]
    counts: tuple[int, int]


def split_images(cfg: Any, split: str) -> list[Path]:
    """Return the image files that a split lists, or if its format lists none, those of its persons."""
    root = root_of(cfg)
    listed = listed_pictures(cfg, split, root)
    existing = sorted({path for path in listed if path.is_file()})
    if not existing:
        annotations = split_files(cfg, root, split)["annotations"]
        raise InputError(f"none of the {len(listed)} images of {annotations} exists; set data.root")
    return existing


def overlaps(first: Any, second: Any | None = None, decode: bool = False) -> list[Overlap]:
    """Compare the splits of a configured set with each other, or with those of a second one.

    With ``decode`` pixels are compared, which finds an image in another file format; else the bytes of files.
    """
    sets = [first] if second is None else [first, second]
    images = {(i, split): split_images(cfg, split) for i, cfg in enumerate(sets) for split in splits_of(cfg)}
    if decode:
        hashes = [
            _hashes({path for (j, _), files in images.items() if i == j for path in files}, image_reader(cfg))
            for i, cfg in enumerate(sets)
        ]
    else:
        hashes = [_hashes({path for files in images.values() for path in files})] * len(sets)
    # Of equal files the first stands for all; a file that can have no twin is known by its path.
    contents = {
        (i, split): {hashes[i].get(path, str(path)): path for path in reversed(files)}
        for (i, split), files in images.items()
    }
    shared = []
    for a, b in combinations(images, 2):
        if second is None or a[0] != b[0]:
            one, other = contents[a], contents[b]
            pairs = sorted((one[key], other[key]) for key in one.keys() & other.keys())
            names = f"{sets[a[0]].data.name} {a[1]}", f"{sets[b[0]].data.name} {b[1]}"
            shared.append(Overlap(names, pairs, (len(one), len(other))))
    return shared


def _hashes(paths: Iterable[Path], read: ImageReader | None = None) -> dict[Path, str]:
    """Return hashes of pixels, or without ``read`` of the bytes of those files that can have a twin, an equal size."""
    unique = sorted(paths)
    if read is None:
        sizes = {path: path.stat().st_size for path in unique}
        amount = Counter(sizes.values())
        unique = [path for path in unique if amount[sizes[path]] > 1]
    return each_image(partial(_hash, read=read), unique)


def _hash(path: Path, read: ImageReader | None) -> str:
    if read is None:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    image = read(path)
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()
