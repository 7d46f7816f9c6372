"""Measure what representations cost without training: every row of a table, at every size, in one process.

``python -m poserep.studies.quantisation_error [--config-dir sweeps] [--config-name quantisation] [key=value ...]``

Lists cross, as in ``size=64x64,256x192 align=centre,corner``. ``representation=...`` chooses rows of the table; one
that no row has is measured as it is. Cells that have been measured are skipped.
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from rich.progress import track

from poserep.cli import ended
from poserep.config import composing, make
from poserep.data.from_config import root_of, skeleton_of
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.overrides import SWEEPS
from poserep.studies.quantisation_error.cell import settle
from poserep.studies.quantisation_error.figures import draw
from poserep.studies.quantisation_error.measure import Condition
from poserep.studies.quantisation_error.poses import read_poses
from poserep.studies.quantisation_error.table import Entry, label, lines, show, sources, write_csv


def listed(override: Override) -> list[str]:
    """The values that an override of the command line lists."""
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def representation(row: DictConfig) -> str:
    """The representation that a row of the table chooses."""
    return next((o.split("=")[1] for o in row.overrides if o.startswith("representation=")), "")


def jobs(table: DictConfig, given: Sequence[str]) -> list[list[str]]:
    """The overrides of every cell: rows, times the table's own lists, times those of the command line.

    Args:
        table: With ``rows`` and ``cross``.
        given: Overrides of the command line.
    """
    parser = OverridesParser.create()
    overrides = parser.parse_overrides(list(given))
    keys = {o.get_key_element() for o in overrides}
    rows = list(table.rows)
    if "representation" in keys:
        names = [name for o in overrides if o.get_key_element() == "representation" for name in listed(o)]
        alone = [n for n in names if n not in map(representation, rows)]
        rows = [row for row in rows if representation(row) in names]
        rows += [OmegaConf.create({"overrides": [f"representation={name}"]}) for name in alone]
        overrides = [o for o in overrides if o.get_key_element() != "representation"]
    cross = parser.parse_overrides([o for o in table.cross if o.split("=")[0] not in keys])
    choices = {o.get_key_element(): listed(o) for o in (*cross, *overrides)}
    lists = [[f"{key}={value}" for value in values] for key, values in choices.items()]
    own = [[o for o in row.overrides if o.split("=")[0] not in choices] for row in rows]
    # Rows that become equal are measured once.
    found = dict.fromkeys((*kept, *chosen) for kept in own for chosen in itertools.product(*lists))
    return [list(job) for job in found]


def measured(cfg: DictConfig, job: Sequence[str]) -> Entry:
    """The numbers of one configuration, as the table shows them.

    Raises:
        InputError: If data, codec or conditions are wrong.
    """
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise InputError(f"{missing[0]} must be given, as in {missing[0]}=...")
    study = Path(cfg.runs) / cfg.study
    root = root_of(cfg)
    skeleton = skeleton_of(cfg)
    skip = bool(cfg.data.skip_invalid)
    poses = read_poses(root / cfg.data.val.annotations, skeleton, cfg.table.area, skip, study)
    size = Size.parse(cfg.input_size)
    codec = make(cfg.representation.codec, size=size, align=cfg.align)
    conditions = [Condition(name, **options) for name, options in cfg.table.conditions.items()]
    conditions = [c for c in conditions if c.applies(size, cfg.align)]
    config = {
        "codec": OmegaConf.to_container(cfg.representation.codec, resolve=True),
        "input_size": str(size),
        "align": cfg.align,
        "seed": cfg.seed,
        "data": {
            "name": cfg.data.name,
            "real": cfg.data.real,
            "annotations": poses.digest,
            "area": poses.area,
            "skip_invalid": skip,
            "skeleton": asdict(skeleton),
        },
        "conditions": [{"name": c.name, "noise": c.noise, "second": c.second, "scores": c.scores} for c in conditions],
    }
    name = f"{cfg.representation.name}-{cfg.data.name}-{size}-{cfg.align}"
    title = cfg.representation.title
    return Entry(title, label(title, job), settle(study, name, config, codec, poses, conditions))


def study(directory: Path, name: str, given: Sequence[str]) -> int:
    """Measure all cells, print and write the table, draw the figures; returns how many cells failed.

    Args:
        directory: Of the table's file.
        name: Of the file, without its ending.
        given: Overrides of the command line.

    Raises:
        InputError: If nothing could be measured.
    """
    entries: list[Entry] = []
    failed: dict[str, list[str]] = {}
    with composing(directory) as compose:
        cfg = compose([o for o in given if o.lstrip("+").startswith("table.")], name).cfg
        for job in track(jobs(cfg.table, given), "measuring", transient=True):
            try:
                cfg = compose(job, name).cfg
                entries.append(measured(cfg, job))
            # What is wrong with one cell must not cost the others.
            except Exception as error:
                kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
                failed.setdefault(kind + str(error), []).append(" ".join(job))
    for reason, where in failed.items():
        others = f" and {len(where) - 1} more" if len(where) > 1 else ""
        print(f"failed: {where[0]}{others}: {reason}", file=sys.stderr, flush=True)
    if not entries:
        raise InputError("nothing could be measured")
    folder = Path(cfg.runs) / cfg.study
    show(cfg.table.title, entries)
    write_csv(folder / "table.csv", lines(entries))
    pictures = []
    for number, (source, rows) in enumerate(sources(lines(entries)).items(), 1):
        pictures += draw(folder, rows, source, cfg.table.figures, f"-{number}" if number > 1 else "")
    print(f"table: {folder / 'table.csv'}\nfigures: {', '.join(map(str, pictures))}")
    return sum(len(where) for where in failed.values())


def main() -> int:
    """``make reproduce-quantisation``; 1 if a cell failed."""
    parser = argparse.ArgumentParser(prog="python -m poserep.studies.quantisation_error", description=__doc__)
    parser.add_argument("--config-dir", type=Path, default=SWEEPS, help="folder of the table")
    parser.add_argument("--config-name", default="quantisation", help="the table, without .yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    given = parser.parse_intermixed_args()
    return 1 if study(given.config_dir, given.config_name, given.overrides) else 0


if __name__ == "__main__":
    sys.exit(ended(main))
