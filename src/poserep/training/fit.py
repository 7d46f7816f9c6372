"""The worker of a run: reads config.yaml of its directory and nothing else, trains, evaluates, writes result.json.

``python -m poserep.training.fit RUN_DIR``; with several devices the launcher starts one such process for each.
"""

import os
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from poserep.cli import ended
from poserep.config import DictConfig, OmegaConf, make
from poserep.data.from_config import takes_scenes
from poserep.errors import Failed, InputError, Stopped, message
from poserep.files import provenance
from poserep.geometry import Size
from poserep.models.cost import summary
from poserep.overrides import keys
from poserep.runs.identity import identity
from poserep.runs.launch import is_rank
from poserep.runs.lease import Lease, by_whom, held_by_this_launch, holder
from poserep.runs.rundir import RunDir
from poserep.runs.stop_request import StopRequest
from poserep.runs.training_options import training_options
from poserep.training.averaged_weights import AveragedWeights
from poserep.training.build import Run, build, has_batch_norm
from poserep.training.checkpoint_on_stop import CheckpointOnStop
from poserep.training.checkpoints import BEST, LAST, checkpoint_to_resume, delete_partial
from poserep.training.early_stopping import EarlyStopping
from poserep.training.evaluation import annotated_predictions, evaluate, stored_predictions
from poserep.training.initial_weights import load_initial
from poserep.training.kept_crops import save_samples, save_worst
from poserep.training.loggers import Dashboard, JsonlLogger
from poserep.training.progress import Progress
from poserep.training.trainer import check_devices, make_trainer, precision_notes, quiet


def fit(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Train and evaluate a run, from its last checkpoint on if there is one, and return the contents of result.json.

    Raises `Stopped` if the run was asked to stop (called again, it continues from its checkpoint), `Failed` if the
    training diverged, and `InputError` if another process has the run, or its configuration or data cannot be used.
    """
    run_dir = RunDir(directory)
    if "imported" in run_dir.config():
        raise InputError(f"{run_dir} was imported and is not trained; evaluate it with poserep evaluate")
    main = not is_rank() or os.environ.get("RANK", "0") == "0"
    if not is_rank():
        # Lightning would take the numbers of a job system for its own.
        rank_zero_only.rank = 0  # type: ignore[attr-defined]
    quiet()
    request = StopRequest()
    lease = Lease(run_dir.path, on_lost=request.lose)
    if main and not lease.acquire():
        raise InputError(f"{run_dir} is being run {by_whom(holder(run_dir.path))}; wait for it, or stop it")
    loggers: list[Logger] = [JsonlLogger(run_dir.curve_file)]
    with lease:
        if main and run_dir.finished:
            return run_dir.result()
        try:
            if main:
                _begin(run_dir)
            with request.listening():
                result = _train_and_evaluate(run_dir, loggers, main, request)
            if main:
                run_dir.write_result(result)
                run_dir.write_status("finished")
            return result
        except BaseException as error:
            # Lightning exits the process when it is interrupted.
            interrupted = isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt)
            # A signal to all processes also ends those that draw people, on which this one then fails.
            if interrupted or request.why or isinstance(error, Stopped | KeyboardInterrupt):
                why = str(error) if isinstance(error, Stopped) else request.why or "interrupted"
                _record_end(run_dir, "stopped", why=why)
                raise Stopped(why) from error
            explained = isinstance(error, InputError | Failed)
            reason = message(error) if explained else f"{type(error).__name__}: {error}"
            refused = isinstance(error, InputError)
            at_fault = refused or isinstance(error.__cause__, InputError)
            about = {"input": at_fault, "refused": refused, "traceback": traceback.format_exc()}
            _record_end(run_dir, "failed", error=reason, **about)
            raise
        finally:
            for logger in loggers:
                if isinstance(logger, Dashboard):
                    logger.finish()


def _begin(run_dir: RunDir) -> None:
    if run_dir.damage:
        print(f"note: {run_dir.damage}", file=sys.stderr, flush=True)
    run_dir.write_status("running")
    delete_partial(run_dir)


def _record_end(run_dir: RunDir, state: str, **record: Any) -> None:
    """Record how a run ended, unless another rank has: what it recorded first is the cause of our own end.

    A process that does not hold the run, or has lost it, records nothing, nor can it on a full disk.
    """
    if held_by_this_launch(run_dir.path) and run_dir.status()["state"] in ("waiting", "running"):
        with suppress(Failed):
            run_dir.write_status(state, **record)


def _train_and_evaluate(run_dir: RunDir, loggers: list[Logger], main: bool, request: StopRequest) -> dict[str, Any]:
    began = time.time()
    config = run_dir.config()
    cfg = OmegaConf.create(config)
    lightning.seed_everything(cfg.seed, verbose=False)
    check_devices(cfg)
    run = build(cfg)
    facts = run_facts(run)
    progress, last = Progress(), run_dir.checkpoint(LAST)
    begun, saved = checkpoint_to_resume(run_dir, main)
    options = cfg.trainer
    # Averages come first: the others save what they have become.
    callbacks: list[Callback] = [AveragedWeights(options.ema)] if options.get("ema") else []
    callbacks += [EarlyStopping(options.patience)] if options.get("patience") else []
    callbacks += [progress, CheckpointOnStop(request, last), *_checkpoints(run, last.parent)]
    if sys.stderr.isatty():
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    if cfg.logger and main:
        loggers.append(make(cfg.logger, save_dir=run_dir.path))
    trainer = make_trainer(cfg, loggers, callbacks)
    # A checkpoint has all weights, and wins over initial ones.
    initial = [] if begun else load_initial(cfg, run.module.net, run.module.codec, run.skeleton)
    if main:
        line = start_line(cfg, facts, begun is not None, has_batch_norm(run.module.net))
        print("\n".join([line, *precision_notes(options), *initial, *run.loading_notes()]), flush=True)
    if begun:
        within = saved.get("within") or {"epoch": saved["epoch"] + 1, "steps": 0}
        run.data.resume(within["epoch"], within["steps"])
    del saved
    request.check()
    try:
        trainer.fit(run.module, run.data, ckpt_path=begun, weights_only=True)
        trained, progressed = time.time() - began, trainer.fit_loop.epoch_progress.current
        epochs = progressed.processed  # type: ignore[attr-defined]
        # As after an epoch, where a run that had ended early was resumed.
        progressed.completed = epochs
        record = evaluate(run, trainer)
    except InputError as error:
        # Something in the data that only showed when work had begun.
        raise Failed(message(error)) from error
    if main:
        run_dir.write_predictions(stored_predictions(run))
        save_samples(run, run_dir.path / "samples.npz")
        save_worst(run, annotated_predictions(run), run_dir.path / "worst.npz")
    return {
        "status": "finished",
        "id": identity(config),
        "name": run_dir.name,
        "config": config,
        "cost": facts,
        "epochs": epochs,
        "seconds": {"fit": trained, "all": time.time() - began},
        "speed": progress.summary(),
        "device": torch.cuda.get_device_name() if cfg.trainer.accelerator == "gpu" else cfg.trainer.accelerator,
        "devices": cfg.trainer.devices,
        "checkpoint": "last",
        "provenance": provenance(),
        "loaded": run.loaded(),
        **record,
    }


def _checkpoints(run: Run, folder: Path) -> list[Callback]:
    """Save the last epoch, and the one with the best chief metric on the boxes that validate training."""
    scorer, chief = run.module.scorer, run.module.scorer.columns[0]
    mode = "min" if chief in scorer.lower else "max"
    return [
        ModelCheckpoint(folder, LAST, enable_version_counter=False, save_on_train_epoch_end=True),
        ModelCheckpoint(
            folder, BEST, f"val/{chief}_{run.module.boxes[0]}", mode=mode, save_weights_only=True,
            enable_version_counter=False, save_on_train_epoch_end=False,
        ),
    ]  # fmt: skip


def run_facts(run: Run) -> dict[str, Any]:
    """Return a run's cost and effective settings, as recorded and as printed at the start."""
    size = Size.parse(run.cfg.input_size)
    return {
        "batch": run.cfg.trainer.batch,
        "lr": run.lr,
        **summary(run.module.net, size.height, size.width),
        "train_instances": len(run.data.train) if run.data.train else 0,
        "recipe_batch": run.cfg.optim.reference_batch,
    }


def start_line(cfg: DictConfig, facts: dict[str, Any], resumed: bool, batch_norm: bool = True) -> str:
    """Describe a run in a line before its first step; an LR that differs from the recipe's is explained."""
    note, options = "", training_options(cfg.trainer, batch_norm)
    what = "images" if takes_scenes(cfg) else "persons"
    options = f", {options}" if options else ""
    if facts["batch"] != facts["recipe_batch"]:
        note = f" (recipe: {cfg.optim.lr:.2e} at batch {facts['recipe_batch']}, {cfg.optim.rule} rule)"
    # Sigmas and kernels follow from the input size unless they are set.
    codec = cfg.representation.codec
    widths = [key for key in keys(codec) if key.split(".")[-1] in ("sigma", "base_sigma", "kernel")]
    bins = f" ({', '.join(f'{key}={OmegaConf.select(codec, key)}' for key in widths)})" if widths else ""
    return (
        f"{cfg.representation.name} {cfg.input_size}{bins} on {cfg.data.name}: "
        f"batch {facts['batch']} on {cfg.trainer.devices} {cfg.trainer.accelerator}, LR {facts['lr']:.2e}{note}, "
        f"{facts['params'] / 1e6:.2f} M parameters, {facts['gmacs']:.3f} GMACs, "
        f"{facts['train_instances']} {what} x {cfg.trainer.epochs} epochs{options}{', resumed' if resumed else ''}"
    )


def main() -> int:
    """Run the directory that the command line names; the exit code is that of `poserep.cli`."""

    def work() -> None:
        if len(sys.argv) != 2 or not RunDir(sys.argv[1]).config_file.is_file():
            raise InputError("usage: python -m poserep.training.fit RUN_DIR   (a directory made by poserep train)")
        fit(sys.argv[1])

    # Each rank would print the same; the launcher has the cause from the run's record.
    return ended(work, silent=is_rank())


if __name__ == "__main__":
    sys.exit(main())
