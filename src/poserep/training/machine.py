"""What a machine or a batch cannot do, told in a line before training begins."""

import shutil
from pathlib import Path

from torch import nn

from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models import PoseNet
from poserep.models.cost import activations

SHARED = Path("/dev/shm")
# Batches that every loader process keeps ready.
READY = 2


def check_shared_memory(workers: int, batch: int, size: Size, pixel_bytes: int) -> None:
    """Raise an `InputError` if loader processes cannot hand over their batches for want of shared memory."""
    needed = workers * READY * batch * size.height * size.width * pixel_bytes
    if not SHARED.is_dir() or (free := shutil.disk_usage(SHARED).free) >= needed:
        return
    raise InputError(
        f"{SHARED} has {free / 1e6:.0f} MB free, and trainer.workers={workers} hand over {needed / 1e6:.0f} MB there: "
        "give the container more (docker run --shm-size=8g), or set trainer.workers=0"
    )


def check_smallest_batch(net: PoseNet, size: Size, persons: int, batch: int, devices: int, drop_last: bool) -> None:
    """Raise an `InputError` if a step of training has one sample, and a batch norm one value of it."""
    rest = persons % batch
    smallest = min(batch, persons) if drop_last or not rest else rest
    if smallest // devices > 1 or not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in net.modules()):
        return
    try:
        activations(net, 1, size.height, size.width, training=True)
    except ValueError as error:
        where = "the last step of an epoch has" if smallest == rest < batch else "a step on each device has"
        raise InputError(
            f"{where} one sample, of which a batch norm sees a single value at {size} px; take another trainer.batch, "
            "a larger input_size, or trainer.drop_last=true"
        ) from error
