"""Look into a data set before training on it; sets are chosen as for training."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Console

from poserep.cli import add_origin, parser_of
from poserep.config import Composed, compose
from poserep.data.check.check import check
from poserep.data.check.findings import show
from poserep.data.check.loading import reader
from poserep.data.check.overlap import overlaps
from poserep.data.check.preview import preview
from poserep.data.check.stats import stats, tables
from poserep.data.mpii_mat import convert_mat
from poserep.errors import InputError


def configure(overrides: Sequence[str], name: str = "config", folder: Path | None = None) -> Composed:
    """The configuration of some overrides, as `poserep.config.compose` takes them.

    Raises:
        InputError: If an override is none, names nothing, or one is missing.
    """
    found = compose(overrides, name, folder)
    missing = sorted(OmegaConf.missing_keys(found.cfg))
    if missing:
        raise InputError(f"{missing[0]} must be given, as in {missing[0]}=...")
    return found


def _parser(name: str, about: str) -> argparse.ArgumentParser:
    parser = parser_of(f"data {name}", about)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as for training")
    add_origin(parser)
    return parser


def _given(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    if "--" in arguments:
        parser.error("only overlap takes a second set")
    return parser.parse_intermixed_args(arguments)


def check_command(arguments: Sequence[str]) -> int:
    """The command ``poserep data check``; 1 if there are errors."""
    about = """Find what is wrong with a data set; the exit code is 1 if there are errors.

example: poserep data check data=mpii data.root=data/mpii"""
    parser = _parser("check", about)
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument("--decode", action="store_true", help="decode every image, not its header only")
    parser.add_argument("--show", type=int, default=3, metavar="N", help="examples of each (3)")
    given = _given(parser, arguments)
    cfg, _ = configure(given.overrides, given.config_name, given.config_dir)
    sections = check(cfg, reader(cfg) if given.decode else None)
    show(sections, given.show, Console(highlight=False))
    rules = [finding.rule for section in sections for finding in section.findings]
    return int(any(rule.error or given.strict for rule in rules))


def stats_command(arguments: Sequence[str]) -> None:
    """The command ``poserep data stats``."""
    about = """Count the persons, joints and sizes of a data set.

example: poserep data stats data=crowdpose data.root=data/crowdpose --json stats.json"""
    parser = _parser("stats", about)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers too")
    given = _given(parser, arguments)
    cfg, _ = configure(given.overrides, given.config_name, given.config_dir)
    found = stats(cfg)
    console = Console(width=max(Console().width, 120), highlight=False)
    for table in tables(found):
        console.print(table)
    for name, values in found.items():
        print(f"{name}: {values['read']}")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps({"data": cfg.data.name, "splits": found}, indent=1) + "\n")


def overlap_command(arguments: Sequence[str]) -> int:
    """The command ``poserep data overlap``; 1 if two splits of one set share images."""
    about = """Find images that both splits of a set have (exit code 1), or after -- those of one set in another.

example: poserep data overlap data=coco -- data=crowdpose"""
    parser = _parser("overlap", about)
    parser.add_argument("--pixels", action="store_true", help="compare pixels, in place of files' bytes")
    parser.add_argument("--show", type=int, default=3, metavar="N", help="examples of each (3)")
    words = list(arguments)
    cut = words.index("--") if "--" in words else len(words)
    given = parser.parse_intermixed_args(words[:cut])
    first, _ = configure(given.overrides, given.config_name, given.config_dir)
    second = configure(words[cut + 1 :], given.config_name, given.config_dir)[0] if words[cut + 1 :] else None
    found = overlaps(first, second, given.pixels)
    for one in found:
        print(f"{len(one.pairs)} images of {one.names[0]} ({one.counts[0]}) are in {one.names[1]} ({one.counts[1]})")
        for pair in one.pairs[: given.show]:
            print(f"  {pair[0]} = {pair[1]}")
        if len(one.pairs) > given.show:
            print(f"  and {len(one.pairs) - given.show} more")
    if not found:
        print(f"{first.data.name} has one split only: nothing to compare")
    return int(second is None and any(one.pairs for one in found))


def preview_command(arguments: Sequence[str]) -> None:
    """The command ``poserep data preview``."""
    about = """Draw crops with their keypoints, without augmentation and then as in several epochs.

example: poserep data preview data.prepare.val=500 augment=hrnet --count 12"""
    parser = _parser("preview", about)
    parser.add_argument(
        "--out", type=Path, default=Path("preview.png"), metavar="FILE", help="PNG to write (preview.png)"
    )
    parser.add_argument("--count", type=int, default=24, metavar="N", help="persons (24)")
    parser.add_argument(
        "--split", choices=["train", "val"], default="train", help="of which split (train); val is not augmented"
    )
    parser.add_argument("--epoch", type=int, default=0, metavar="E", help="the first whose augmentation is shown (0)")
    given = _given(parser, arguments)
    cfg, choices = configure(given.overrides, given.config_name, given.config_dir)
    persons, crops = preview(cfg, given.out, given.split, given.count, given.epoch, choices["augment"])
    print(f"{given.out}: {persons} persons, {crops} crop{'s' * (crops > 1)} of each")


def convert_command(arguments: Sequence[str]) -> None:
    """The command ``poserep data convert``."""
    about = """Write the persons of MPII's MATLAB release as JSON.

example: poserep data convert mpii mpii_human_pose_v1_u12_1.mat data/mpii/annot/all.json"""
    parser = parser_of("data convert", about)
    parser.add_argument("format", choices=["mpii"])
    parser.add_argument("source", type=Path, metavar="SOURCE.mat", help="mpii_human_pose_v1_u12_1.mat")
    parser.add_argument("target", type=Path, metavar="TARGET.json")
    given = parser.parse_args(arguments)
    if given.target.exists():
        raise InputError(f"{given.target} exists; remove it, or give another name")
    tally = convert_mat(given.source, given.target)
    print(f"{given.target}: {tally.line()}")
