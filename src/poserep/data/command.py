"""Look into a data set before training on it; sets are chosen as for training."""

import argparse
import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from poserep.build import CONF
from poserep.console import parser_of
from poserep.data.mpii_mat import convert_mat
from poserep.errors import InputError
from poserep.inspection.check import check
from poserep.inspection.findings import show
from poserep.inspection.loading import reader
from poserep.inspection.overlap import overlaps
from poserep.inspection.preview import preview
from poserep.inspection.stats import stats, tables


def configure(overrides: Sequence[str]) -> tuple[DictConfig, Mapping[str, str]]:
    """The configuration of some overrides, and the name that was chosen of each group.

    Raises:
        InputError: If an override is none, names nothing, or one is missing.
    """
    try:
        return _configured(overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError((str(error).splitlines() or [type(error).__name__])[0]) from error


def _configured(overrides: Sequence[str]) -> tuple[DictConfig, Mapping[str, str]]:
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    for override in parsed:
        options = [path.stem for path in (CONF / override.get_key_element()).glob("*.yaml")]
        if options and str(override.value()) not in options:
            raise InputError(_near(f"{override.get_key_element()}=", str(override.value()), options))
    groups = [o.input_line or "" for o in parsed if (CONF / o.get_key_element()).is_dir()]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        known = _keys(OmegaConf.to_container(compose("config", groups)))
        for override in parsed:
            key = override.get_key_element()
            if key not in known and not key.startswith(("+", "~")) and override.input_line not in groups:
                raise InputError(_near("", key, known))
        cfg = compose("config", list(overrides), return_hydra_config=True)
    choices = dict(cfg.hydra.runtime.choices)
    with open_dict(cfg):
        del cfg["hydra"]
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise InputError(f"{missing[0]} must be given, as in {missing[0]}=...")
    return cfg, choices


def _keys(config: Any, prefix: str = "") -> list[str]:
    """The dotted keys of a configuration, those of mappings too."""
    if not isinstance(config, dict):
        return []
    found = []
    for key, value in config.items():
        found += [f"{prefix}{key}", *_keys(value, f"{prefix}{key}.")]
    return found


def _near(prefix: str, name: str, known: Sequence[str]) -> str:
    last = [key for key in known if key.split(".")[-1] == name.split(".")[-1]]
    near = [prefix + found for found in dict.fromkeys([*last, *get_close_matches(name, known, 2)])]
    return f"{prefix}{name} does not exist" + (f"; did you mean {' or '.join(near[:2])}?" if near else "")


def _parser(name: str, about: str) -> argparse.ArgumentParser:
    parser = parser_of(f"data {name}", about)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as for training")
    return parser


def check_command(arguments: Sequence[str]) -> int:
    """The command ``poserep data check``; 1 if there are errors."""
    about = """Find what is wrong with a data set; the exit code is 1 if there are errors.

example: poserep data check data=mpii data.root=data/mpii"""
    parser = _parser("check", about)
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument("--decode", action="store_true", help="decode every image, not its header only")
    parser.add_argument("--show", type=int, default=3, metavar="N", help="examples of each (3)")
    given = parser.parse_intermixed_args(arguments)
    cfg, _ = configure(given.overrides)
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
    given = parser.parse_intermixed_args(arguments)
    cfg, _ = configure(given.overrides)
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
    first, _ = configure(given.overrides)
    second = configure(words[cut + 1 :])[0] if words[cut + 1 :] else None
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
    given = parser.parse_intermixed_args(arguments)
    cfg, choices = configure(given.overrides)
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
