"""What `benchmarks/codecs.py` compares: jobs that the package's codecs and loops over samples and joints both do.

Each job is made for a batch when it is asked for, because some need hundreds of megabytes. Both sides return the same
tensors in the same units, so that a job can be checked before it is timed.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from poserep.codecs import (
    DARK,
    CentreOfMass,
    Codec,
    Gaussian,
    Heatmap,
    MultiScale,
    QuarterShift,
    SimCC,
    SoftArgmax,
)
from poserep.geometry import Size
from poserep.skeleton import COCO

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference import loops

SIZE = Size(256, 192)
PERM = COCO.flip_perm()
PAIRS = [(COCO.names.index(left), COCO.names.index(right)) for left, right in COCO.pairs]
NOISE = 0.02
# Of the crop's sides: as many joints lie this far outside as leave one in nine without weight.
MARGIN = 0.03


@dataclass(frozen=True)
class Job:
    """A job that both sides do.

    Attributes:
        fast: The package's way.
        slow: The loops' way.
        gradients: Whether they take any; else they run in inference mode, as evaluation does.
        goal_ms: What the fast side may take.
        goal_ratio: How many times faster it must be.
        goal_mb: Memory that the fast side may take while it works, result included.
    """

    fast: Callable[[], Any]
    slow: Callable[[], Any]
    gradients: bool = False
    goal_ms: float | None = None
    goal_ratio: float | None = None
    goal_mb: float | None = None

    def check(self) -> None:
        """Check that both sides give the same answer.

        Raises:
            AssertionError: If they don't, with what differs.
        """
        fast, slow = self.fast(), self.slow()
        assert len(fast) == len(slow)
        for ours, theirs in zip(fast, slow, strict=True):
            torch.testing.assert_close(ours, torch.as_tensor(theirs).to(ours.dtype), rtol=1e-5, atol=1e-5)


def one_thread() -> None:
    """Restrict both sides to one thread: work is compared, not how it is shared out."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def side(make: Callable[[int], Job], which: str, batch: int) -> Callable[[], Any]:
    """Return the ``fast`` or ``slow`` side of a job; runs in another process too."""
    one_thread()
    return getattr(make(batch), which)


def points(batch: int, margin: float = 0.0) -> tuple[Tensor, Tensor]:
    """Draw joints all over the crop and up to a ``margin`` beside it, relative to its side."""
    generator = torch.Generator().manual_seed(0)
    part = torch.rand(batch, COCO.num_keypoints, 2, generator=generator) * (1 + 2 * margin) - margin
    return part * torch.tensor(SIZE[::-1]) - 0.5, torch.ones(batch, COCO.num_keypoints)


def noisy(target: Tensor, seed: int = 0) -> Tensor:
    """Return a target with noise, as a network might emit it."""
    return target + NOISE * torch.randn(target.shape, generator=torch.Generator().manual_seed(seed))


def simcc_training(batch: int) -> Job:
    """Time SimCC's target, loss and gradient."""
    codec = SimCC(SIZE, k=2, label=Gaussian(6.0))
    xy, weight = points(batch, MARGIN)
    generator = torch.Generator().manual_seed(1)
    out = tuple(
        torch.randn(batch, COCO.num_keypoints, axis.n, generator=generator).requires_grad_()
        for axis in (codec.x, codec.y)
    )

    def fast() -> tuple[Tensor, ...]:
        target, kept = codec.encode(xy, weight)
        loss = codec.loss(out, target, kept)
        return (loss.detach(), *torch.autograd.grad(loss, out))

    def slow() -> tuple[Tensor, ...]:
        (tx, ty), kept = loops.simcc_targets(xy.numpy(), weight.numpy(), SIZE, 2, 6.0)
        loss = loops.simcc_loss(out, (torch.from_numpy(tx), torch.from_numpy(ty)), torch.from_numpy(kept))
        return (loss.detach(), *torch.autograd.grad(loss, out))

    return Job(fast, slow, gradients=True, goal_ms=7)


def simcc_decoding(batch: int) -> Job:
    """Time SimCC's softmax, argmax and score."""
    codec = SimCC(SIZE, k=2, label=Gaussian(6.0), score="published")
    out = tuple(noisy(o) for o in codec.oracle(codec.encode(*points(batch))[0]))
    return Job(
        lambda: codec.decode(out),
        lambda: _as_points(codec, *loops.simcc_decode((out[0].numpy(), out[1].numpy()))),
    )


def simcc_merging(batch: int) -> Job:
    """Time SimDR's flip test: one bin to the left, probabilities averaged."""
    codec = SimCC(SIZE, k=2, label=Gaussian(6.0), flip_shift=-1)
    target = codec.encode(*points(batch))[0]
    out, mirrored = (tuple(noisy(o, seed) for o in codec.oracle(target)) for seed in (0, 1))

    def slow() -> tuple[Tensor, ...]:
        # As logits, which is what the codec's merging returns.
        p = loops.simcc_merge(*((x.numpy(), y.numpy()) for x, y in (out, mirrored)), PAIRS, shift=True)
        return tuple(torch.from_numpy(axis).clamp_min(1e-30).log() for axis in p)

    return Job(lambda: codec.merge(out, mirrored, PERM), slow)


def heatmap_targets(batch: int) -> Job:
    """Time Gaussians around the nearest bin, cut at 3 sigma."""
    codec = Heatmap(SIZE)
    xy, weight = points(batch, MARGIN)
    return Job(
        lambda: codec.encode(xy, weight),
        lambda: loops.heatmap_targets(xy.numpy(), weight.numpy(), SIZE, 4, 2.0),
    )


def heatmap_merging(shift: bool) -> Callable[[int], Job]:
    """Time the flip test of heatmaps, exact or with HRNet's bin to the right."""

    def make(batch: int) -> Job:
        codec = Heatmap(SIZE, flip_shift=1 if shift else None)
        out, mirrored = (noisy(codec.encode(*points(batch))[0], seed) for seed in (0, 1))
        return Job(
            lambda: (codec.merge(out, mirrored, PERM),),
            lambda: (loops.heatmap_merge(out.numpy(), mirrored.numpy(), PAIRS, shift),),
            goal_ms=6,
        )

    return make


def reading(
    readout: Callable[[Tensor], Any],
    slow: Callable[[np.ndarray], Any],
    goal_ms: float | None = None,
    margin: float = 0.0,
) -> Callable[[int], Job]:
    """Time the decoding of stride-4 heatmaps; maps of joints outside the crop show nothing but noise."""

    def make(batch: int) -> Job:
        codec = Heatmap(SIZE, readouts={"it": readout}, score="published")
        maps = noisy(codec.encode(*points(batch, margin))[0])
        return Job(lambda: codec.decode(maps), lambda: _as_points(codec, *slow(maps.numpy())), goal_ms=goal_ms)

    return make


def sr_reading(batch: int) -> Job:
    """Quarter shift at input resolution."""
    codec = MultiScale(SIZE, readouts={"it": QuarterShift()}, score="published")
    maps = noisy(codec.encode(*points(batch))[0][-1])
    return Job(lambda: codec.decode(maps), lambda: _as_points(codec, *loops.quarter_shift(maps.numpy())), goal_ms=80)


def sr_targets(batch: int) -> Job:
    """Time all of SRPose's targets: full resolution, 1/4 and 1/32."""
    codec = MultiScale(SIZE)
    xy, weight = points(batch, MARGIN)

    def fast() -> tuple[Tensor, ...]:
        target, kept = codec.encode(xy, weight)
        return (*target, kept)

    def slow() -> tuple[Any, ...]:
        target, kept = loops.srpose_targets(xy.numpy(), weight.numpy(), SIZE)
        return (*target, kept)

    return Job(fast, slow, goal_ratio=10, goal_mb=1000)


def _as_points(codec: Codec, bins: np.ndarray, value: np.ndarray) -> tuple[Tensor, Tensor]:
    return codec.to_px(torch.from_numpy(bins)), torch.as_tensor(value)


DARK_LOOP = partial(loops.dark, kernel=11, max_step=1.0)
JOBS: dict[str, Callable[[int], Job]] = {
    "SimCC target, loss and gradient": simcc_training,
    "heatmap quarter shift": reading(QuarterShift(), loops.quarter_shift, 2.5),
    "heatmap DARK, kernel 11": reading(DARK(11), DARK_LOOP, 6),
    "heatmap DARK, one map in nine empty": reading(DARK(11), DARK_LOOP, 6, margin=MARGIN),
    "heatmap flip merge, exact": heatmap_merging(shift=False),
    "heatmap flip merge, one bin": heatmap_merging(shift=True),
    "SRPose targets": sr_targets,
    "SRPose decoding": sr_reading,
    "heatmap targets": heatmap_targets,
    "heatmap soft-argmax": reading(SoftArgmax(100.0), partial(loops.soft_argmax, beta=100.0)),
    "heatmap centre of mass": reading(CentreOfMass(), loops.centre_of_mass),
    "SimCC decoding": simcc_decoding,
    "SimCC flip merge, one bin": simcc_merging,
}
