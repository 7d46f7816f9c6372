"""Lightning's trainer with the settings that every command uses."""

import logging
import warnings
from collections.abc import Sequence

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import LightningEnvironment, TorchElasticEnvironment

from poserep.config import CPU_FACTS, DictConfig, cpu_precision
from poserep.errors import InputError
from poserep.training.checkpoints import KeptCheckpoints


def quiet() -> None:
    """Silence Lightning's messages on devices, products and internals."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for text in (
        ".*treespec.*",
        ".*logging interval.*",
        ".*does not have many workers.*",
        ".*when logging on epoch level in distributed.*",
        ".*exists and is not empty.*",
        ".*lr_scheduler.step.*",
        # Learnt scores leave the network as it is evaluated.
        ".*module\\(s\\) in eval mode.*",
        # Our sampler resumes within an epoch.
        ".*dataloader is not resumable.*",
    ):
        warnings.filterwarnings("ignore", text)


def check_devices(cfg: DictConfig) -> None:
    """Raise an `InputError` if a configuration asks for devices that this machine does not have."""
    accelerator, devices = cfg.trainer.accelerator, cfg.trainer.devices
    visible = {"gpu": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(accelerator)
    if visible is not None and devices > visible:
        kind = "GPUs of Apple" if accelerator == "mps" else "GPUs"
        raise InputError(
            f"trainer.devices={devices} on {accelerator}, but {visible} {kind} are visible; take trainer=cpu, or fewer"
        )


def precision_notes(options: DictConfig) -> list[str]:
    """Return a note if this processor would emulate the half precision that a configuration asks of it."""
    emulated = options.accelerator == "cpu" and options.precision != "32-true" and cpu_precision() == "32-true"
    text = f"note: trainer.precision={options.precision} is slow on this processor, which has no AVX512_BF16 or AMX"
    return [f"{text}; with 32-true it would be another run"] if emulated and CPU_FACTS.is_file() else []


def make_trainer(cfg: DictConfig, loggers: Sequence[Logger], callbacks: Sequence[Callback]) -> lightning.Trainer:
    """Make Lightning's trainer for a configuration; it is an `InputError` if it asks for devices that are not there."""
    check_devices(cfg)
    distributed = cfg.trainer.devices > 1
    return lightning.Trainer(
        accelerator=cfg.trainer.accelerator,
        devices=cfg.trainer.devices,
        strategy="ddp" if distributed else "auto",
        precision=cfg.trainer.precision,
        max_epochs=cfg.trainer.epochs,
        gradient_clip_val=cfg.trainer.get("clip"),
        check_val_every_n_epoch=cfg.trainer.evaluate_every,
        num_sanity_val_steps=0,
        logger=list(loggers),
        log_every_n_steps=1_000_000,
        callbacks=list(callbacks),
        enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks),
        enable_progress_bar=any(isinstance(c, TQDMProgressBar) for c in callbacks),
        enable_model_summary=False,
        # SLURM's environment would requeue by its own handlers of signals; the sweeper does that.
        plugins=[TorchElasticEnvironment() if distributed else LightningEnvironment(), KeptCheckpoints()],
        # Our samplers split by rank; Lightning's would repeat samples in training.
        use_distributed_sampler=False,
        deterministic="warn" if cfg.trainer.accelerator == "cpu" else False,
        benchmark=cfg.trainer.accelerator == "gpu",
        inference_mode=True,
    )
