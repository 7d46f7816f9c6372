"""Runs one run directory: reads its config.yaml and nothing else, trains, evaluates, leaves a result.

``python -m poserep.training.fit RUN_DIR``; with several devices the launcher starts one such process for each.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from poserep.config import keys, make
from poserep.errors import InputError, Stopped, message
from poserep.files import provenance, write_json
from poserep.geometry import Size
from poserep.models import cost
from poserep.runs.identity import identity
from poserep.runs.interrupt import Request
from poserep.runs.lease import Lease, by_whom, holder, ours
from poserep.runs.records import finished
from poserep.training.build import Run, build
from poserep.training.evaluation import evaluate, save_predictions
from poserep.training.loggers import JsonlLogger, finish
from poserep.training.progress import Progress
from poserep.training.samples import save_samples
from poserep.training.stop import Stop
from poserep.training.trainer import make_trainer, quiet


def describe(cfg: DictConfig, run: Run) -> dict[str, Any]:
    """Cost and effective settings, as recorded and as printed at the start."""
    size = Size.parse(cfg.input_size)
    net = run.module.net
    return {
        "batch": cfg.trainer.batch,
        "lr": run.lr,
        **cost.summary(net, size.height, size.width),
        "train_instances": len(run.data.train) if run.data.train else 0,
        "recipe_batch": cfg.optim.reference_batch,
    }


def loaded(run: Run) -> dict[str, Any]:
    """What the loaders did with each set, as results record it."""
    return {name: tally.record() for name, tally in run.tallies.items()}


def tallies(run: Run) -> list[str]:
    """What the loaders left out or put right, a line for each set where they did."""
    return [f"{name}: {tally.line()}" for name, tally in run.tallies.items() if tally.left_out or tally.mended]


def fit(run_dir: Path) -> dict[str, Any]:
    """Train and evaluate what config.yaml describes; continue from the last checkpoint if there is one.

    Returns:
        The result, as in result.json; of a run that has finished the one that is there.

    Raises:
        Stopped: If the run was asked to stop; its checkpoint tells where it goes on.
        InputError: If another process is at work on it, or it cannot be run.
    """
    if "imported" in OmegaConf.load(run_dir / "config.yaml"):
        raise InputError(f"{run_dir} was imported and is not trained; evaluate it with poserep evaluate")
    main = int(os.environ.get("RANK", "0")) == 0
    quiet()
    request = Request()
    lease = Lease(run_dir, lost=request.lose)
    if main and not lease.take():
        raise InputError(f"{run_dir} is being run {by_whom(holder(run_dir))}; wait for it, or stop it")
    loggers: list[Logger] = [JsonlLogger(run_dir / "metrics.jsonl")]
    with lease:
        if main and finished(run_dir):
            return json.loads((run_dir / "result.json").read_text())
        if main:
            write_json(run_dir / "status.json", {"state": "running", "since": time.time()})
        try:
            with request.listening():
                result = _fit(run_dir, loggers, main, request)
            if main:
                write_json(run_dir / "result.json", result)
                write_json(run_dir / "status.json", {"state": "finished", "since": time.time()})
            return result
        except (Stopped, KeyboardInterrupt) as error:
            _record(run_dir, {"state": "stopped", "why": str(error) or "interrupted"})
            raise Stopped(str(error) or "interrupted") from error
        except BaseException as error:
            # Lightning ends the process by itself when it is interrupted.
            if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
                _record(run_dir, {"state": "stopped", "why": "interrupted"})
                raise Stopped("interrupted") from error
            reason = message(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            mine = {"input": isinstance(error, InputError), "traceback": traceback.format_exc()}
            _record(run_dir, {"state": "failed", "error": reason, **mine})
            raise
        finally:
            for logger in loggers if main else ():
                finish(logger)


def _record(run_dir: Path, status: dict[str, Any]) -> None:
    """Why a run ended. What another process of it said first is the cause; what follows from that is not.

    Whoever does not have the run, or has it no more, says nothing.
    """
    path = run_dir / "status.json"
    if ours(run_dir) and (not path.is_file() or json.loads(path.read_text())["state"] == "running"):
        write_json(path, {**status, "since": time.time()})


def _fit(run_dir: Path, loggers: list[Logger], main: bool, request: Request) -> dict[str, Any]:
    began = time.time()
    cfg = OmegaConf.load(run_dir / "config.yaml")
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(cfg, DictConfig) and isinstance(config, dict)
    lightning.seed_everything(cfg.seed, verbose=False)
    run = build(cfg)
    about = describe(cfg, run)
    checkpoints = run_dir / "checkpoints"
    every_box = list(run.data.evaluation)
    # Selection and curves take one kind of boxes, always the same.
    run.module.boxes = run.data.boxes = every_box[:1]
    metric = run.module.metric
    chief = metric.columns[0]
    progress = Progress()
    last = checkpoints / "last.ckpt"
    callbacks: list[Callback] = [
        progress,
        Stop(request, last),
        ModelCheckpoint(checkpoints, "last", enable_version_counter=False, save_on_train_epoch_end=True),
        ModelCheckpoint(
            checkpoints, "best", f"val/{chief}_{every_box[0]}", mode="min" if chief in metric.lower else "max",
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
        run.data.first_epoch, run.data.first_step = within["epoch"], within["steps"]
    request.check()
    if cfg.trainer.compile:
        run.module.net.compile()
    trainer.fit(run.module, run.data, ckpt_path=last if last.is_file() else None, weights_only=True)
    trained = time.time() - began
    found = evaluate(run, trainer, cfg, every_box)
    if main:
        save_predictions(run, run_dir / "predictions.npz")
        save_samples(run, run_dir / "samples.npz")
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
        **found,
    }


def start_line(cfg: DictConfig, about: dict[str, Any], resumed: bool) -> str:
    """What a user should know before the first step."""
    note = ""
    if about["batch"] != about["recipe_batch"]:
        note = f" (recipe: {cfg.optim.lr:.2e} at batch {about['recipe_batch']}, {cfg.optim.rule} rule)"
    codec = cfg.representation.codec
    widths = [key for key in keys(codec) if key.split(".")[-1] in ("sigma", "base_sigma", "kernel")]
    derived = f" ({', '.join(f'{key}={OmegaConf.select(codec, key)}' for key in widths)})" if widths else ""
    what = f"{cfg.representation.name} {cfg.input_size}{derived} on {cfg.data.name}"
    where = f"batch {about['batch']} on {cfg.trainer.devices} {cfg.trainer.accelerator}, LR {about['lr']:.2e}{note}"
    size = f"{about['params'] / 1e6:.2f} M parameters, {about['gmacs']:.3f} GMACs"
    work = f"{about['train_instances']} persons x {cfg.trainer.epochs} epochs" + (", resumed" if resumed else "")
    return f"{what}: {where}, {size}, {work}"


def main() -> None:
    """Command line."""
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "config.yaml").is_file():
        sys.exit("usage: python -m poserep.training.fit RUN_DIR   (a folder with config.yaml, made by poserep train)")
    try:
        fit(Path(sys.argv[1]))
    except InputError as error:
        sys.exit(f"error: {message(error)}")
    except Stopped as why:
        print(f"stopped ({why}); the same command goes on from the last checkpoint", file=sys.stderr, flush=True)
        # As a service that is unavailable for now.
        sys.exit(os.EX_TEMPFAIL)


if __name__ == "__main__":
    main()
