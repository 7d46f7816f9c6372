"""Runs one run directory: reads its config.yaml and nothing else, trains, evaluates, leaves a result.

``python -m poserep.training.fit RUN_DIR``; with several devices the launcher starts one such process for each.
"""

import os
import sys
import time
import traceback
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from poserep.cli import ended
from poserep.config import make
from poserep.errors import Failed, InputError, Stopped, message
from poserep.files import provenance
from poserep.geometry import Size
from poserep.models.cost import summary
from poserep.overrides import keys
from poserep.runs.identity import identity
from poserep.runs.interrupt import StopRequest
from poserep.runs.launch import is_rank
from poserep.runs.lease import Lease, by_whom, held_by_this_launch, holder
from poserep.runs.rundir import RunDir
from poserep.training.build import Run, build
from poserep.training.evaluation import annotated_predictions, evaluate, save_predictions
from poserep.training.loggers import JsonlLogger, finish
from poserep.training.progress import Progress
from poserep.training.samples import save_samples, save_worst
from poserep.training.stop_on_signal import StopOnSignal
from poserep.training.trainer import make_trainer, quiet


def describe(cfg: DictConfig, run: Run) -> dict[str, Any]:
    """Cost and effective settings, as recorded and as printed at the start."""
    size = Size.parse(cfg.input_size)
    net = run.module.net
    return {
        "batch": cfg.trainer.batch,
        "lr": run.lr,
        **summary(net, size.height, size.width),
        "train_instances": len(run.data.train) if run.data.train else 0,
        "recipe_batch": cfg.optim.reference_batch,
    }


def loaded(run: Run) -> dict[str, Any]:
    """What the loaders did with each set, as results record it."""
    return {name: tally.record() for name, tally in run.tallies.items()}


def tallies(run: Run) -> list[str]:
    """What the loaders left out or put right, a line for each set where they did."""
    return [f"{name}: {tally.line()}" for name, tally in run.tallies.items() if tally.left_out or tally.mended]


def fit(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Train and evaluate what config.yaml describes; continue from the last checkpoint if there is one.

    Returns:
        The result, as in result.json; of a run that has finished the one that is there.

    Raises:
        Stopped: If the run was asked to stop; its checkpoint tells where it goes on.
        InputError: If another process is at work on it, or it cannot be run.
    """
    run_dir = RunDir(directory)
    if "imported" in run_dir.config():
        raise InputError(f"{run_dir} was imported and is not trained; evaluate it with poserep evaluate")
    main = int(os.environ.get("RANK", "0")) == 0
    quiet()
    request = StopRequest()
    lease = Lease(run_dir.path, on_lost=request.lose)
    if main and not lease.acquire():
        raise InputError(f"{run_dir} is being run {by_whom(holder(run_dir.path))}; wait for it, or stop it")
    loggers: list[Logger] = [JsonlLogger(run_dir.curve_file)]
    with lease:
        if main and run_dir.finished:
            return run_dir.result()
        if main:
            run_dir.write_status("running")
        try:
            with request.listening():
                result = _fit(run_dir, loggers, main, request)
            if main:
                run_dir.write_result(result)
                run_dir.write_status("finished")
            return result
        except (Stopped, KeyboardInterrupt) as error:
            _record(run_dir, "stopped", why=str(error) or "interrupted")
            raise Stopped(str(error) or "interrupted") from error
        except BaseException as error:
            # Lightning ends the process by itself when it is interrupted.
            if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
                _record(run_dir, "stopped", why="interrupted")
                raise Stopped("interrupted") from error
            explained = isinstance(error, InputError | Failed)
            reason = message(error) if explained else f"{type(error).__name__}: {error}"
            refused = isinstance(error, InputError)
            _record(run_dir, "failed", error=reason, input=refused, traceback=traceback.format_exc())
            raise
        finally:
            for logger in loggers if main else ():
                finish(logger)


def _record(run_dir: RunDir, state: str, **record: Any) -> None:
    """Record how a run ended, unless another rank has: what it recorded first is the cause of our own end.

    A process that does not hold the run, or has lost it, records nothing.
    """
    if held_by_this_launch(run_dir.path) and run_dir.status()["state"] in ("waiting", "running"):
        run_dir.write_status(state, **record)


def _fit(run_dir: RunDir, loggers: list[Logger], main: bool, request: StopRequest) -> dict[str, Any]:
    began = time.time()
    cfg = OmegaConf.create(run_dir.config())
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(cfg, DictConfig) and isinstance(config, dict)
    lightning.seed_everything(cfg.seed, verbose=False)
    run = build(cfg)
    about = describe(cfg, run)
    checkpoints = run_dir / "checkpoints"
    scorer = run.module.scorer
    chief = scorer.columns[0]
    progress = Progress()
    last = checkpoints / "last.ckpt"
    callbacks: list[Callback] = [
        progress,
        StopOnSignal(request, last),
        ModelCheckpoint(checkpoints, "last", enable_version_counter=False, save_on_train_epoch_end=True),
        ModelCheckpoint(
            checkpoints, "best", f"val/{chief}_{run.module.boxes[0]}", mode="min" if chief in scorer.lower else "max",
            save_weights_only=True, enable_version_counter=False, save_on_train_epoch_end=False,
        ),
    ]  # fmt: skip
    if sys.stderr.isatty():
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    if cfg.logger and main:
        loggers.append(make(cfg.logger, save_dir=run_dir))
    trainer = make_trainer(cfg, loggers, callbacks)
    if main:
        print("\n".join([start_line(cfg, about, last.is_file()), *tallies(run)]), flush=True)
    if last.is_file():
        saved = torch.load(last, map_location="cpu", weights_only=True)
        within = saved.get("within") or {"epoch": saved["epoch"] + 1, "steps": 0}
        run.data.resume(within["epoch"], within["steps"])
    request.check()
    trainer.fit(run.module, run.data, ckpt_path=last if last.is_file() else None, weights_only=True)
    trained = time.time() - began
    record = evaluate(run, trainer)
    if main:
        save_predictions(run, run_dir.predictions_file())
        save_samples(run, run_dir.samples_file)
        save_worst(run, annotated_predictions(run), run_dir.worst_file)
    return {
        "status": "finished",
        "id": identity(config),
        "name": run_dir.name,
        "config": config,
        "cost": about,
        "epochs": cfg.trainer.epochs,
        "seconds": {"fit": trained, "all": time.time() - began},
        "speed": progress.summary(),
        "device": torch.cuda.get_device_name() if cfg.trainer.accelerator == "gpu" else "cpu",
        "devices": cfg.trainer.devices,
        "checkpoint": "last",
        "provenance": provenance(),
        "loaded": loaded(run),
        **record,
    }


def start_line(cfg: DictConfig, about: dict[str, Any], resumed: bool) -> str:
    """What a user should know before the first step."""
    note = ""
    if about["batch"] != about["recipe_batch"]:
        note = f" (recipe: {cfg.optim.lr:.2e} at batch {about['recipe_batch']}, {cfg.optim.rule} rule)"
    codec = cfg.representation.codec
    widths = [key for key in keys(codec) if key.split(".")[-1] in ("sigma", "base_sigma", "kernel")]
    bins = f" ({', '.join(f'{key}={OmegaConf.select(codec, key)}' for key in widths)})" if widths else ""
    what = f"{cfg.representation.name} {cfg.input_size}{bins} on {cfg.data.name}"
    where = f"batch {about['batch']} on {cfg.trainer.devices} {cfg.trainer.accelerator}, LR {about['lr']:.2e}{note}"
    size = f"{about['params'] / 1e6:.2f} M parameters, {about['gmacs']:.3f} GMACs"
    work = f"{about['train_instances']} persons x {cfg.trainer.epochs} epochs" + (", resumed" if resumed else "")
    return f"{what}: {where}, {size}, {work}"


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
