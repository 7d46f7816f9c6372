"""Evaluate a checkpoint of a run again, with other readouts, boxes, scores or data.

Overrides are written as for training; +key=value adds, for example a readout. Leaves evaluation-ID.json and .npz beside
the result of the run.

example: poserep evaluate runs/demo/heatmap-... checkpoint=best flip_test=false 'boxes=[det]'
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from poserep.cli import parser_of
from poserep.errors import InputError
from poserep.files import provenance, write_json
from poserep.geometry import Size
from poserep.models.cost import summary
from poserep.models.weights.read import read_state
from poserep.overrides import CONF, explain
from poserep.runs.identity import contents, identity
from poserep.runs.launch import is_rank, launch
from poserep.training.build import Run, build
from poserep.training.evaluation import evaluate, save_predictions, save_submissions
from poserep.training.fit import loaded, tallies
from poserep.training.module import PoseModule
from poserep.training.printed import evaluation_sheet
from poserep.training.trainer import make_trainer, quiet


def configure(run_dir: Path, overrides: list[str]) -> DictConfig:
    """The run's configuration with changes; unknown keys are refused.

    Raises:
        InputError: If the run or a key does not exist.
    """
    path = run_dir / "config.yaml"
    if not path.is_file():
        raise InputError(f"{run_dir} is no run directory: it has no config.yaml")
    cfg = OmegaConf.load(path)
    assert isinstance(cfg, DictConfig)
    OmegaConf.update(cfg, "checkpoint", "last")
    OmegaConf.set_struct(cfg, True)
    try:
        for override in OverridesParser.create().parse_overrides(overrides):
            key, value = override.get_key_element().lstrip("+"), override.value()
            choice = CONF / key / f"{value}.yaml"
            if "." not in key and choice.is_file():
                cfg[key] = OmegaConf.load(choice)
            else:
                OmegaConf.update(cfg, key, value, force_add=override.is_add())
    except (OmegaConfBaseException, HydraException) as error:
        raise InputError(explain(error, overrides)) from error
    return cfg


def restore(run_dir: Path, cfg: DictConfig) -> Run:
    """A run's objects with the weights of the checkpoint that ``cfg.checkpoint`` names.

    Raises:
        InputError: If the checkpoint is missing or does not fit the configuration.
    """
    quiet()
    lightning.seed_everything(cfg.seed, verbose=False)
    state = read_state(checkpoint_of(run_dir, cfg.checkpoint))
    run = build(cfg, train=False)
    load(run.module, state, f"checkpoint {cfg.checkpoint} of {run_dir}")
    return run


def checkpoint_of(run_dir: Path, name: str) -> Path:
    """The file of a run's checkpoint.

    Raises:
        InputError: If the run has none of that name.
    """
    path = run_dir / "checkpoints" / f"{name}.ckpt"
    if not path.is_file():
        there = sorted(other.stem for other in path.parent.glob("*.ckpt"))
        how = f"; poserep calibrate {run_dir} makes it" if name == "calibrated" else ""
        raise InputError(f"checkpoint={name}: {run_dir} has {', '.join(there) or 'no checkpoint yet'}{how}")
    return path


def load(module: PoseModule, state: Mapping[str, Tensor], what: str) -> None:
    """Put a checkpoint's tensors in place.

    Raises:
        InputError: If they do not fit; ``what`` says whose they are.
    """
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        reason = reason if len(reason) < 300 else f"{reason[:300]} ..."
        raise InputError(f"{what} does not fit this configuration: {reason}") from error


def reread(run_dir: Path, cfg: DictConfig) -> dict[str, Any]:
    """Evaluate a run's checkpoint; leaves evaluation-<id>.json and .npz beside its result.

    Raises:
        InputError: If the checkpoint is missing or does not fit the configuration.
    """
    run = restore(run_dir, cfg)
    trainer = make_trainer(cfg, [], [])
    record = evaluate(run, trainer)
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    config["contents"] = contents(config)
    size = Size.parse(cfg.input_size)
    counted = summary(run.module.net, size.height, size.width)
    about = {"run": run_dir.name, "config": config, "cost": counted, "provenance": provenance(), "loaded": loaded(run)}
    result = {"id": identity(config), **about, **record}
    if trainer.is_global_zero:
        save_predictions(run, run_dir / f"evaluation-{result['id']}.npz")
        write_json(run_dir / f"evaluation-{result['id']}.json", result)
        for text in tallies(run):
            print(text)
        evaluation_sheet(f"{run_dir.name}, checkpoint {cfg.checkpoint}", record).show()
        for path in (run_dir / f"evaluation-{result['id']}.json", *save_submissions(run, run_dir, result["id"])):
            print(f"written: {path}")
    return result


def run_and_overrides(command: str, about: str | None, arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """The arguments of a command that takes a run directory and overrides."""
    parser = parser_of(command, about)
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    given = parser.parse_intermixed_args(arguments)
    return given.run, given.overrides


def main(arguments: Sequence[str]) -> None:
    """The command ``poserep evaluate``."""
    run_dir, overrides = run_and_overrides("evaluate", __doc__, arguments)
    cfg = configure(run_dir, overrides)
    if cfg.trainer.devices > 1 and not is_rank():
        launch("poserep", ["evaluate", *arguments], cfg.trainer.devices)
    else:
        reread(run_dir, cfg)
