"""Measure what representations cost without training: every row of a table, at every size, in one process.

``python -m poserep.studies.quantisation_error [--config-dir sweeps] [--config-name quantisation] [key=value ...]``

Lists cross, as in ``size=64x64,256x192 align=centre,corner``. ``representation=...`` chooses rows of the table; one
that no row has is measured as it is. Cells that have been measured are skipped.
"""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.progress import track

from poserep.cli import ended
from poserep.config import DictConfig, OmegaConf, composing, make
from poserep.data.from_config import root_of, skeleton_of
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.overrides import key_of, refuse_missing, split_values
from poserep.studies import study_parser
from poserep.studies.quantisation_error.cell import result_of
from poserep.studies.quantisation_error.disturbance import Condition
from poserep.studies.quantisation_error.figures import draw_figures
from poserep.studies.quantisation_error.poses import read_poses
from poserep.studies.quantisation_error.table import Entry, by_source, lines_of, print_tables, row_label, write_lines


def jobs(table: DictConfig, given: Sequence[str]) -> list[list[str]]:
    """Return the overrides of every cell: rows, times the table's own lists, times those of the command line."""
    lists = split_values(given)
    rows = [list(row.overrides) for row in table.rows]
    if chosen := lists.pop("representation", None):
        listed = {override for row in rows for override in row}
        rows = [row for row in rows if any(name in row for name in chosen)]
        rows += [[name] for name in chosen if name not in listed]
    lists = split_values([cross for cross in table.cross if key_of(cross) not in lists]) | lists
    kept = ([override for override in row if key_of(override) not in lists] for row in rows)
    # Rows that become equal are measured once.
    found = dict.fromkeys((*own, *values) for own in kept for values in itertools.product(*lists.values()))
    return [list(job) for job in found]


def measure_job(cfg: DictConfig, job: Sequence[str]) -> Entry:
    """Measure one configuration, composed from the overrides ``job``; wrong data, codec or conditions: `InputError`."""
    refuse_missing(cfg)
    folder, skeleton, skip = Path(cfg.runs) / cfg.study, skeleton_of(cfg), bool(cfg.data.skip_invalid)
    poses = read_poses(root_of(cfg) / cfg.data.val.annotations, skeleton, cfg.table.area, skip)
    size = Size.parse(cfg.input_size)
    if cfg.representation.get("scenes"):
        raise InputError(
            f"representation={cfg.representation.name} reads whole images, of which this study knows no people; take "
            "one of crops, and docs/bottom-up.md for the errors of bottom-up"
        )
    codec = make(cfg.representation.codec, size=size, align=cfg.align, sigmas=skeleton.sigmas)
    conditions = [Condition(name, **options) for name, options in cfg.table.conditions.items()]
    conditions = [c for c in conditions if str(size) in (c.sizes or [str(size)])]
    conditions = [c for c in conditions if cfg.align in (c.aligns or [cfg.align])]
    config = {
        "codec": OmegaConf.to_container(cfg.representation.codec, resolve=True),
        "input_size": str(size),
        "align": cfg.align,
        "seed": cfg.seed,
        "data": {"name": cfg.data.name, "real": cfg.data.real, "annotations": poses.digest, "area": poses.area}
        | {"skip_invalid": skip, "skeleton": asdict(skeleton)},
        "conditions": [{"name": c.name, "noise": c.noise, "second": c.second, "scores": c.scores} for c in conditions],
    }
    name = f"{cfg.representation.name}-{cfg.data.name}-{size}-{cfg.align}"
    title = cfg.representation.title
    result = result_of(folder, name, config, codec, poses, conditions)
    return {"title": title, "label": row_label(title, job), **result}


def run_study(directory: Path, name: str, given: Sequence[str]) -> int:
    """Measure all cells of ``name``.yaml, print and write the table, draw the figures; returns how many cells failed.

    It is an `InputError` if nothing could be measured.
    """
    entries: list[Entry] = []
    failed: dict[str, list[str]] = {}
    with composing(directory) as compose:
        cfg = compose([o for o in given if key_of(o).startswith("table.")], name).cfg
        for job in track(jobs(cfg.table, given), "measuring", transient=True):
            try:
                cfg = compose(job, name).cfg
                entries.append(measure_job(cfg, job))
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
    print_tables(cfg.table.title, entries)
    write_lines(folder / "table.csv", lines_of(entries))
    pictures = []
    for number, (source, rows) in enumerate(by_source(lines_of(entries)).items(), 1):
        pictures += draw_figures(folder, rows, source, cfg.table.figures, f"-{number}" if number > 1 else "")
    print(f"table: {folder / 'table.csv'}\nfigures: {', '.join(map(str, pictures))}")
    return sum(len(where) for where in failed.values())


def main() -> int:
    """Run ``make reproduce-quantisation``; the exit code is 1 if a cell failed."""
    given = study_parser("-m poserep.studies.quantisation_error", __doc__, "quantisation").parse_intermixed_args()
    return 1 if run_study(given.config_dir, given.config_name, given.overrides) else 0


if __name__ == "__main__":
    sys.exit(ended(main))
