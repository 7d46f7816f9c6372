"""Look into a data set before training on it.

``python -m poserep.data check    [key=value ...] [--strict] [--decode] [--show N]``    what is wrong with it
``python -m poserep.data stats    [key=value ...] [--json FILE]``                       its numbers
``python -m poserep.data overlap  [key=value ...] [--pixels] [-- key=value ...]``       images in two splits or sets
``python -m poserep.data preview  [key=value ...] [--count N] [--out FILE] ...``        a sheet of augmented crops
``python -m poserep.data convert  mpii SOURCE.mat TARGET.json``                         MPII's release to JSON

Sets are chosen as for training, for example ``data=mpii data.root=/path size=256x256 augment=mpii``.
"""

import argparse
import json
import sys
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


def _check(arguments: argparse.Namespace, _: list[str]) -> int:
    cfg, _choices = configure(arguments.overrides)
    sections = check(cfg, reader(cfg) if arguments.decode else None)
    show(sections, arguments.show, Console(highlight=False))
    rules = [finding.rule for section in sections for finding in section.findings]
    return int(any(rule.error or arguments.strict for rule in rules))


def _stats(arguments: argparse.Namespace, _: list[str]) -> int:
    cfg, _choices = configure(arguments.overrides)
    found = stats(cfg)
    console = Console(width=max(Console().width, 120), highlight=False)
    for table in tables(found):
        console.print(table)
    for name, values in found.items():
        print(f"{name}: {values['read']}")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"data": cfg.data.name, "splits": found}, indent=1) + "\n")
    return 0


def _overlap(arguments: argparse.Namespace, rest: list[str]) -> int:
    first, _choices = configure(arguments.overrides)
    second = configure(rest)[0] if rest else None
    found = overlaps(first, second, arguments.pixels)
    for one in found:
        print(f"{len(one.pairs)} images of {one.names[0]} ({one.counts[0]}) are in {one.names[1]} ({one.counts[1]})")
        for pair in one.pairs[: arguments.show]:
            print(f"  {pair[0]} = {pair[1]}")
        if len(one.pairs) > arguments.show:
            print(f"  and {len(one.pairs) - arguments.show} more")
    if not found:
        print(f"{first.data.name} has one split only: nothing to compare")
    return int(second is None and any(one.pairs for one in found))


def _preview(arguments: argparse.Namespace, _: list[str]) -> int:
    cfg, choices = configure(arguments.overrides)
    persons, crops = preview(cfg, arguments.out, arguments.split, arguments.count, arguments.epoch, choices["augment"])
    print(f"{arguments.out}: {persons} persons, {crops} crop{'s' * (crops > 1)} of each")
    return 0


def _convert(arguments: argparse.Namespace, _: list[str]) -> int:
    if arguments.target.exists():
        raise InputError(f"{arguments.target} exists; remove it, or give another name")
    tally = convert_mat(arguments.source, arguments.target)
    print(f"{arguments.target}: {tally.line()}")
    return 0


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    main = argparse.ArgumentParser(
        prog="python -m poserep.data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    main.add_argument("command", choices=["check", "stats", "overlap", "preview", "convert"])
    commands = {}
    for name, run, about in (
        ("check", _check, "Validate a set: exit code 1 if there are errors (with --strict, or warnings)."),
        ("stats", _stats, "Count persons, joints, sizes."),
        ("overlap", _overlap, "Find images that are in both splits (exit code 1), or in two sets: A [options] -- B."),
        ("preview", _preview, "Draw crops with keypoints: without augmentation, then as in several epochs."),
    ):
        command = argparse.ArgumentParser(prog=f"python -m poserep.data {name}", description=about)
        command.add_argument("overrides", nargs="*", metavar="key=value", help="as for training")
        command.set_defaults(run=run)
        commands[name] = command
    commands["check"].add_argument("--strict", action="store_true", help="warnings count as errors")
    commands["check"].add_argument("--decode", action="store_true", help="decode every image, not its header only")
    commands["stats"].add_argument("--json", type=Path, metavar="FILE", help="write the numbers too")
    commands["overlap"].add_argument("--pixels", action="store_true", help="compare pixels, in place of files' bytes")
    for name in ("check", "overlap"):
        commands[name].add_argument("--show", type=int, default=3, metavar="N", help="examples of each (3)")
    add = commands["preview"].add_argument
    add("--out", type=Path, default=Path("preview.png"), metavar="FILE", help="PNG to write (preview.png)")
    add("--count", type=int, default=24, metavar="N", help="persons (24)")
    add("--split", choices=["train", "val"], default="train", help="of which split (train); val is not augmented")
    add("--epoch", type=int, default=0, metavar="E", help="the first whose augmentation is shown (0)")
    convert = argparse.ArgumentParser(
        prog="python -m poserep.data convert", description="Write the persons of MPII's MATLAB release as JSON."
    )
    convert.add_argument("format", choices=["mpii"])
    convert.add_argument("source", type=Path, metavar="SOURCE.mat", help="mpii_human_pose_v1_u12_1.mat")
    convert.add_argument("target", type=Path, metavar="TARGET.json")
    convert.set_defaults(run=_convert)
    return main, {**commands, "convert": convert}


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    words = list(sys.argv[1:] if argv is None else argv)
    general, commands = _parser()
    command = general.parse_args(words[:1]).command
    words, rest = words[1:], []
    if "--" in words:
        cut = words.index("--")
        words, rest = words[:cut], words[cut + 1 :]
    if rest and command != "overlap":
        commands[command].error("only overlap takes a second set")
    arguments = commands[command].parse_intermixed_args(words)
    try:
        sys.exit(arguments.run(arguments, rest))
    except (InputError, HydraException, OmegaConfBaseException, OSError) as error:
        sys.exit(f"error: {str(error).splitlines()[0] if str(error) else type(error).__name__}")


if __name__ == "__main__":
    main()
