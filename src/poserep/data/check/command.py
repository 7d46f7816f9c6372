"""The commands ``poserep data …``: look into a data set before training on it; sets are chosen as for training."""

import argparse
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from poserep.cli import add_origin, parser_of
from poserep.config import Composed, compose
from poserep.data.check.findings import print_sections
from poserep.data.check.overlap import overlaps
from poserep.data.check.split import split_file
from poserep.data.check.stats import sheets, stats
from poserep.data.check.validate import validate
from poserep.data.custom_set import draft_set, write_set
from poserep.data.from_config import takes_scenes
from poserep.data.loaders.mpii_matlab import convert_mat
from poserep.errors import InputError
from poserep.files import write_json
from poserep.overrides import refuse_missing


def composed_data(overrides: Sequence[str], name: str = "config", folder: Path | None = None) -> Composed:
    """Compose a configuration as `poserep.config.compose` does, of which every value must be given."""
    composed = compose(overrides, name, folder)
    refuse_missing(composed.cfg)
    return composed


def _parser(command: Callable[..., Any]) -> argparse.ArgumentParser:
    """Return the parser of a function called NAME_command, whose docstring is the help."""
    parser = parser_of(f"data {command.__name__.removesuffix('_command')}", inspect.getdoc(command))
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help="settings, as for training")
    add_origin(parser)
    return parser


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[argparse.Namespace, Composed]:
    if "--" in arguments:
        parser.error("only overlap takes a second set")
    given = parser.parse_intermixed_args(arguments)
    return given, composed_data(given.overrides, given.config_name, given.config_dir)


def check_command(arguments: Sequence[str]) -> int:
    """Find what is wrong with a data set; the exit code is 1 if there are errors.

    example: poserep data check data=mpii data.root=data/mpii
    """
    parser = _parser(check_command)
    parser.add_argument("--strict", action="store_true", help="count warnings as errors")
    parser.add_argument("--decode", action="store_true", help="decode every image, not its header only")
    parser.add_argument("--show", type=int, default=3, metavar="N", help="number of examples of each (3)")
    given, (cfg, _) = _parse(parser, arguments)
    sections = validate(cfg, given.decode)
    print_sections(sections, given.show, Console(highlight=False))
    return int(any(f.rule.error or given.strict for section in sections for f in section.findings))


def stats_command(arguments: Sequence[str]) -> None:
    """Count the persons, joints and sizes of a data set.

    example: poserep data stats data=crowdpose data.root=data/crowdpose --json stats.json
    """
    parser = _parser(stats_command)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to a file as well")
    given, (cfg, _) = _parse(parser, arguments)
    numbers = stats(cfg)
    for sheet in sheets(numbers):
        sheet.show()
    if given.json:
        write_json(given.json, {"data": cfg.data.name, "splits": numbers})


def overlap_command(arguments: Sequence[str]) -> int:
    """Find images that both splits of a set have (exit code 1), or after -- those of one set in another.

    example: poserep data overlap data=coco -- data=crowdpose
    """
    parser = _parser(overlap_command)
    parser.add_argument("--pixels", action="store_true", help="compare pixels, in place of files' bytes")
    parser.add_argument("--show", type=int, default=3, metavar="N", help="number of examples of each (3)")
    words = list(arguments)
    cut = words.index("--") if "--" in words else len(words)
    given, (first, _) = _parse(parser, words[:cut])
    second = composed_data(words[cut + 1 :], given.config_name, given.config_dir).cfg if words[cut + 1 :] else None
    shared = overlaps(first, second, given.pixels)
    for one in shared:
        print(f"{len(one.pairs)} images of {one.names[0]} ({one.counts[0]}) are in {one.names[1]} ({one.counts[1]})")
        for pair in one.pairs[: given.show]:
            print(f"  {pair[0]} = {pair[1]}")
        if len(one.pairs) > given.show:
            print(f"  and {len(one.pairs) - given.show} more")
    if not shared:
        print(f"{first.data.name} has one split only: nothing to compare")
    return int(second is None and any(one.pairs for one in shared))


def preview_command(arguments: Sequence[str]) -> None:
    """Draw crops with their keypoints, without augmentation and then as in several epochs.

    example: poserep data preview data.prepare.val=500 augment=hrnet --count 12
    """
    parser = _parser(preview_command)
    add = parser.add_argument
    add("--out", type=Path, default=Path("preview.png"), metavar="FILE", help="PNG file to write (preview.png)")
    add("--count", type=int, default=24, metavar="N", help="number of persons, or of whole images (24)")
    add("--split", choices=["train", "val"], default="train", help="split to draw from (train); val is not augmented")
    add("--epoch", type=int, default=0, metavar="E", help="first epoch whose augmentation is shown (0)")
    given, (cfg, choices) = _parse(parser, arguments)
    from poserep.data.check.preview import write_preview  # here, as the other commands take no torch

    rows, crops = write_preview(cfg, given.out, given.split, given.count, given.epoch, choices["augment"])
    what = "images" if takes_scenes(cfg) else "persons"
    print(f"{given.out}: {rows} {what}, {crops} crop{'s' * (crops > 1)} of each")


def init_command(arguments: Sequence[str]) -> None:
    """Write the configuration of a data set of one's own: joints, pairs guessed from names, sigmas to fill in.

    example: poserep data init farm/train.json --out farm.yaml
    """
    parser = parser_of("data init", inspect.getdoc(init_command))
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="annotations in COCO's format to train on")
    add("--val", type=Path, metavar="FILE", help="those to evaluate on (beside it, with val for train in the name)")
    add("--images", type=Path, metavar="DIR", help="folder of the images of both (looked for around the files)")
    add("--category", metavar="NAME", help="name or id of the category, if several have different joints")
    add("--fields", nargs="+", default=[], metavar="FIELD", help="fields of joints to read as one, such as foot_kpts")
    add("--name", help="name of the set (that of the folder)")
    add("--out", type=Path, metavar="FILE", help="YAML file to write (NAME.yaml)")
    given = parser.parse_args(arguments)
    draft = draft_set(given.file, given.val, given.images, given.category, given.name, given.fields)
    out = given.out or Path(f"{draft.name}.yaml")
    write_set(draft, out)
    print("\n".join([f"{out}:", *(f"  {note}" for note in draft.notes)]))
    print(f"next: poserep data check data={out}")


def convert_command(arguments: Sequence[str]) -> None:
    """Write the persons of MPII's MATLAB release as JSON.

    example: poserep data convert mpii mpii_human_pose_v1_u12_1.mat data/mpii/annot/all.json
    """
    parser = parser_of("data convert", inspect.getdoc(convert_command))
    parser.add_argument("format", choices=["mpii"])
    parser.add_argument("source", type=Path, metavar="SOURCE.mat", help="the release, mpii_human_pose_v1_u12_1.mat")
    parser.add_argument("target", type=Path, metavar="TARGET.json", help="file to write")
    given = parser.parse_args(arguments)
    if given.target.exists():
        raise InputError(f"{given.target} exists; remove it, or give another name")
    if not given.source.is_file():
        raise InputError(
            f"{given.source} does not exist; give the path of MPII's release, mpii_human_pose_v1_u12_1.mat"
        )
    tally = convert_mat(given.source, given.target)
    print(f"{given.target}: {tally.line()}")


def split_command(arguments: Sequence[str]) -> None:
    """Cut an annotation file in COCO's format in two, as to hold out a part of what is trained on for a search.

    The first part has the first images in the file's order, the second one the others: neighbours, often of one scene
    or photograph, stay together.

    example: poserep data split data/mine/train.json data/mine/fit.json data/mine/held-out.json --share 0.8
    """
    parser = parser_of("data split", inspect.getdoc(split_command))
    parser.add_argument("source", type=Path, metavar="SOURCE.json", help="annotation file")
    parser.add_argument("first", type=Path, metavar="FIRST.json", help="file to write")
    parser.add_argument("second", type=Path, metavar="SECOND.json", help="file to write")
    parser.add_argument("--share", type=float, default=0.8, help="of the images in the first file (0.8)")
    given = parser.parse_args(arguments)
    cut = split_file(given.source, given.first, given.second, given.share)
    for path, images, people in zip((given.first, given.second), cut.images, cut.people, strict=True):
        print(f"{path}: {images} images, {people} people")
    if cut.without_image:
        print(f"note: {cut.without_image} people of images that {given.source} does not list are in neither")
