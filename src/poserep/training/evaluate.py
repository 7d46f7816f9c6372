"""Evaluate a checkpoint of a run again, with other readouts, boxes, scores or data."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import lightning
from torch import Tensor

from poserep.config import DictConfig, as_dict, with_overrides
from poserep.data.from_config import skeleton_of
from poserep.data.split_pictures import picture_hashes
from poserep.errors import InputError
from poserep.files import provenance
from poserep.geometry import Size
from poserep.models.cost import summary
from poserep.models.weights.read import read_state
from poserep.overrides import key_of
from poserep.runs.create import check, read_config
from poserep.runs.identity import contents, identity
from poserep.runs.rundir import RunDir, checkpoint_of
from poserep.training.build import Run, build
from poserep.training.evaluation import evaluate, save_submissions, stored_predictions
from poserep.training.evaluation_sheet import evaluation_sheet
from poserep.training.learnt_scores import SCORE_HEAD, new_score_head
from poserep.training.module import PoseModule
from poserep.training.trainer import make_trainer, quiet

# What of a configuration only training, or the place of a run, depends on.
OF_TRAINING = ("augment", "init", "names", "optim", "runs", "study")


def configure(run_dir: str | os.PathLike[str], overrides: Sequence[str]) -> DictConfig:
    """Return a run's configuration with overrides; ``checkpoint`` names the checkpoint, the last one by default.

    A run or key that does not exist, a value out of range, and what only training reads, is an `InputError`.
    """
    for key in map(key_of, overrides):
        if key.split(".")[0] in OF_TRAINING:
            raise InputError(f"{key} changes nothing of a trained run; leave it out, or train with it")
    config = read_config(RunDir(run_dir)) | {"checkpoint": "last"}
    cfg = with_overrides(config, overrides)
    try:
        check(with_overrides(config, ()), config)
    except InputError:
        # What an earlier version let pass is evaluated as it was recorded.
        return cfg
    check(cfg, config)
    return cfg


def restore(run_dir: str | os.PathLike[str], cfg: DictConfig, tempered: bool = True, train: bool = False) -> Run:
    """Build a run's objects with the weights of the checkpoint that ``cfg.checkpoint`` names.

    Where ``cfg`` names other data, predictions are compared on the joints that these have in common with the run's own.
    Without ``tempered``, a calibrated checkpoint's temperature is ignored, and so are learnt scores. With ``train`` the
    run has its training set. A checkpoint that is missing or does not fit the configuration is an `InputError`.
    """
    quiet()
    lightning.seed_everything(cfg.seed, verbose=False)
    state = dict(read_state(checkpoint_of(run_dir, cfg.checkpoint)))
    if not tempered:
        state = {key: v for key, v in state.items() if key != "codec.temperature" and not key.startswith(SCORE_HEAD)}
    learnt = skeleton_of(with_overrides(RunDir(run_dir).config(), ()))
    run = build(cfg, train=train, learnt=learnt)
    if any(key.startswith(SCORE_HEAD) for key in state):
        run.module.score_head = new_score_head(run.module.net, learnt.num_keypoints)
    load(run.module, state, f"checkpoint {cfg.checkpoint} of {run_dir}")
    return run


def load(module: PoseModule, state: Mapping[str, Tensor], what: str) -> None:
    """Load a checkpoint's tensors into a module; if they do not fit, an `InputError` begins with ``what``."""
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        reason = reason if len(reason) < 300 else f"{reason[:300]} ..."
        raise InputError(f"{what} does not fit this configuration: {reason}") from error


def reevaluate(directory: str | os.PathLike[str], cfg: DictConfig) -> dict[str, Any]:
    """Evaluate a run's checkpoint, write evaluation-ID.json and .npz beside its result, and return the record.

    A checkpoint that is missing or does not fit the configuration is an `InputError`.
    """
    run_dir = RunDir(directory)
    run = restore(run_dir, cfg)
    trainer = make_trainer(cfg, [], [])
    record = evaluate(run, trainer)
    config = as_dict(cfg)
    config.pop("table")
    config["contents"] = contents(config) | picture_hashes(cfg, ["val"])
    size = Size.parse(cfg.input_size)
    result = {
        "id": identity(config),
        "run": run_dir.name,
        "config": config,
        "cost": summary(run.module.net, size.height, size.width),
        "provenance": provenance(),
        "loaded": run.loaded(),
        **record,
    }
    if trainer.is_global_zero:
        run_dir.write_predictions(stored_predictions(run), result["id"])
        file = run_dir.write_result(result, result["id"])
        for line in run.loading_notes():
            print(line)
        evaluation_sheet(f"{run_dir.name}, checkpoint {cfg.checkpoint}", result).show()
        for path in (file, *save_submissions(run, run_dir, result["id"])):
            print(f"written: {path}")
    return result
