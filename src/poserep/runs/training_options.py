"""The options of training that a recipe leaves out: whether they can work, and in words."""

from collections.abc import Mapping
from typing import Any

from poserep.errors import InputError

# The precisions that each accelerator computes in.
PRECISIONS = {"cpu": ("32-true", "bf16-mixed"), "mps": ("32-true",)}


def training_options(trainer: Mapping[str, Any], batch_norm: bool = True) -> str:
    """Return the options that a configuration's trainer sets, in words; empty if it sets none.

    ``batch_norm`` tells whether the network has batch norms, which see the samples of a micro-batch alone.
    """
    words = {
        "micro_batch": "micro-batches of {}" + (", which are all that a batch norm sees" if batch_norm else ""),
        "clip": "gradient norm at most {}",
        "ema": "EMA {} of the weights",
        "patience": "patience of {} epochs",
    }
    # Configurations written before these keys existed lack them.
    return ", ".join(text.format(value) for key, text in words.items() if (value := trainer.get(key)) is not None)


def check_options(trainer: Mapping[str, Any]) -> None:
    """Raise an `InputError` for a value of an option that is out of range, or that its accelerator cannot use."""
    if (value := trainer.get("drop_last")) not in (True, False, None):
        raise InputError(f"trainer.drop_last={value} is not true or false")
    accelerator, precision = trainer["accelerator"], trainer["precision"]
    if precision not in (able := PRECISIONS.get(accelerator, (precision,))):
        raise InputError(f"trainer.precision={precision} does not work on {accelerator}; take {' or '.join(able)}")
    if (value := trainer.get("clip")) is not None and not (_is_number(value) and 0 < value < float("inf")):
        raise InputError(f"trainer.clip={value} is not a number above 0, or null")
    if (value := trainer.get("ema")) is not None and not (_is_number(value) and 0 < value < 1):
        raise InputError(f"trainer.ema={value} is not a number between 0 and 1, such as 0.9998, or null")


def check_shares(trainer: Mapping[str, Any]) -> None:
    """Raise an `InputError` if the devices of a training, or their micro-batches, cannot share its batch evenly."""
    batch, devices, piece = trainer["batch"], trainer["devices"], trainer.get("micro_batch")
    if batch % devices:
        raise InputError(f"trainer.batch={batch} does not divide by {devices} devices; take a multiple of it")
    if piece and (share := batch // devices) % piece:
        fitting = [n for n in range(1, share + 1) if share % n == 0]
        near = min(fitting, key=lambda n: abs(n - piece))
        raise InputError(
            f"trainer.micro_batch={piece} does not divide the {share} samples that each device has of "
            f"trainer.batch={batch}; the nearest that does is {near}"
        )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
