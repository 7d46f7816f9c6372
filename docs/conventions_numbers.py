"""The numbers of conventions.md and its pictures, measured with poserep's own axes and codecs."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from poserep.codecs import DARK, Argmax, Codec, Equal, Gaussian, Heatmap, SimCC, SRHeatmap
from poserep.config import make
from poserep.data import load_coco
from poserep.data.dataset import PoseDataset
from poserep.geometry import Size
from poserep.skeleton import COCO
from poserep.sweeps.sweep_file import complete_table, compositions
from poserep.sweeps.table import cells_of

WHOLE = {"quantise": "none", "truncate": None}
SIZE = "256x192"


class FlipError(NamedTuple):
    """How far to the right a flip test of published code puts the un-mirrored response.

    Without any shift it is ``offset`` bins, of which the code's ``shift`` leaves ``left`` bins or ``px`` input px, and
    ``average`` input px in the average with the plain response. Two bins are ``bin_px`` input px apart.
    """

    code: str
    offset: float
    shift: float
    bin_px: float
    left: float
    px: float
    average: float


def profile(codec: Codec, out: Any) -> Tensor:
    """Return what an output says along x, (B, K, n), each summing to one."""
    density = codec.density(out)
    along = density["x"] if "x" in density else density["map"].sum(-2)
    return along / along.sum(-1, keepdim=True)


def middle(codec: Codec, out: Any) -> float:
    """Return the mean position along x, bins."""
    along = profile(codec, out).double()
    return float((along * torch.arange(along.shape[-1])).sum(-1).mean())


def passes(codec: Codec, x: float) -> tuple[Any, Any]:
    """Return what a perfect network that treats left and right alike emits for an image and for its mirror image."""
    one, y = torch.ones(1, 1), (codec.y.length - 1) / 2
    mirrored = codec.x.length - 1 - x + codec.mirror_px
    plain, other = (codec.oracle(codec.encode(torch.tensor([[[at, y]]]), one)[0]) for at in (x, mirrored))
    return plain, other


def misses(codec: Codec, x: float = 90.0) -> tuple[float, float]:
    """Return by how many bins the un-mirrored response, and the average of both, lie too far to the right."""
    perm = torch.tensor([0])
    plain, other = passes(codec, x)
    start = middle(codec, plain)
    along = codec.unmirror(profile(codec, other), perm)
    back = float((along.double() * torch.arange(codec.x.n)).sum())
    return back - start, middle(codec, codec.merge(plain, other, perm)) - start


def flip_error(code: str, make: Callable[[float | None], Codec], shift: float) -> FlipError:
    """Measure the flip error of ``make(flip_shift)``."""
    offset, _ = misses(make(0.0))
    codec = make(shift)
    left, average = misses(codec)
    px = codec.x.px_per_bin()
    # Sums of a few hundred float32 values.
    return FlipError(code, *(round(v, 3) + 0.0 for v in (offset, shift, px, left, left * px, average * px)))


def flip_errors() -> list[FlipError]:
    """Measure the flip errors of the papers' code."""

    def simcc(k: float) -> Callable[[float | None], Codec]:
        return lambda shift: SimCC(SIZE, k=k, label=Gaussian(4.0), align="corner", flip_shift=shift)

    return [
        flip_error("HRNet, stride 4", lambda s: Heatmap(SIZE, align="corner", flip_shift=s, **WHOLE), 1),
        flip_error("DarkPose, stride 4", lambda s: Heatmap(SIZE, align="dark", flip_shift=s, **WHOLE), 0),
        flip_error("SRPose, stride 1", lambda s: SRHeatmap(SIZE, align="corner", flip_shift=s, **WHOLE), 1),
        *(flip_error(f"SimCC, k = {k:g}", simcc(k), -1) for k in (1, 1.5, 2, 3, 4)),
    ]


def hrnet_shares() -> dict[int, float]:
    """Return the share of joints by how many bins their un-mirrored, shifted map is off, with rounded targets."""
    codec = Heatmap(SIZE, align="corner", flip_shift=1)
    x = 64.0 + (torch.arange(512) + 0.5) / 32
    xy = torch.stack([x, torch.full_like(x, 128.0)], -1)[None]
    other = xy.clone()
    other[..., 0] = codec.x.length - 1 - x
    plain, mirrored = (codec.encode(p, torch.ones(p.shape[:2]))[0].sum(-2) for p in (xy, other))
    off = codec.unmirror(mirrored, torch.arange(len(x))).argmax(-1) - plain.argmax(-1)
    values, counts = off.unique(return_counts=True)
    return {int(v): float(c) / len(x) for v, c in zip(values, counts, strict=True)}


class Spread(NamedTuple):
    """Errors along x of perfect outputs, input px: the mean, to the right, and the mean and greatest absolute one."""

    bias: float
    mean: float
    most: float


def quantisation() -> dict[str, Spread]:
    """Measure the errors of every way to quantise, at stride 4 and sigma 2, over joints spread evenly."""
    positions = 48 + (torch.arange(1024) + 0.5) / 32
    xy = torch.stack([positions, torch.full_like(positions, 61.3)], -1)[:, None]
    ways = {
        "nearest bin (`round`), argmax": ({"quantise": "round"}, Argmax()),
        "bin to the left (`floor`), argmax": ({"quantise": "floor"}, Argmax()),
        "bin to the right (`ceil`), argmax": ({"quantise": "ceil"}, Argmax()),
        "exact position (`none`), argmax": (WHOLE, Argmax()),
        "exact position (`none`), DARK": (WHOLE, DARK()),
        "px to the right (`ceil`, `grid=px`), DARK": ({"quantise": "ceil", "grid": "px", "truncate": None}, DARK()),
    }
    found = {}
    for name, (options, readout) in ways.items():
        codec = Heatmap("128x128", readouts={"it": readout}, **options)
        out = codec.encode(xy, torch.ones(xy.shape[:2]))[0]
        error = (codec.decode(out).xy - xy)[..., 0].double()
        found[name] = Spread(float(error.mean()), float(error.abs().mean()), float(error.abs().max()))
    return found


class Peaks(NamedTuple):
    """Scores of perfect outputs over positions inside the crop: the published code's, least and greatest, and ours."""

    low: float
    high: float
    contract: float


def peaks() -> dict[str, Peaks]:
    """Measure the peaks of several codecs."""
    codecs: dict[str, tuple[Callable[..., Codec], dict[str, Any]]] = {
        "Heatmap, rounded": (Heatmap, {"sigma": 2.0}),
        "Heatmap, unbiased, σ 2": (Heatmap, {"sigma": 2.0, **WHOLE}),
        "Heatmap, unbiased, σ 1": (Heatmap, {"sigma": 1.0, **WHOLE}),
        "SimCC, equal, 0.1": (SimCC, {"label": Equal(0.1)}),
        **{f"SimCC, Gaussian, σ {sigma}": (SimCC, {"label": Gaussian(float(sigma))}) for sigma in (2, 4, 6)},
    }
    found = {}
    for name, (kind, options) in codecs.items():
        codec = kind(SIZE, score="published", **options)
        # Every eighth of a bin over one bin on both axes, far from the border.
        part = torch.arange(9) / 8
        bins = torch.cartesian_prod(part + codec.x.n // 2, part + codec.y.n // 2)
        xy = codec.to_px(bins)[None]
        out = codec.oracle(codec.encode(xy, torch.ones(xy.shape[:2]))[0])
        raw, ours = codec.decode(out).score, kind(SIZE, **options).decode(out).score
        found[name] = Peaks(float(raw.min()), float(raw.max()), float(ours.min()))
    return found


# Published rows, with the sweep that each is of.
LEARNT = {
    "HRNet-W32 64x64, heatmap + shift": "simdr-table2",
    "HRNet-W32 128x96, DARK": "dark-table4",
    "SimBa-R50 64x64, heatmap + shift": "simcc-table1",
    "HRNet-W48 256x192, SimDR*": "simdr-table3",
    "HRNet-W32 64x64, SimDR": "simdr-table2",
}


def learnt(annotations: Path, epochs: int = 20) -> dict[str, tuple[float, float]]:
    """Return the percentage of labelled joints that published rows learn: by the code's bounds, and inside the crop.

    They are those of a file in COCO's format, whose photographs are not read, over epochs of each row's augmentation.
    """
    found = {}
    for row, sweep in LEARNT.items():
        cell = next(c for c in cells_of(complete_table(sweep, "published"), ["seed=0"]) if row in c.rows)
        cfg = next(compositions(sweep, [cell.overrides]))
        size = Size.parse(cfg.input_size)
        codec = make(cfg.representation.codec, size=size, align=cfg.align)
        persons = load_coco(annotations, annotations.parent, COCO, clip=cfg.data.clip)
        black = np.zeros((8, 8, 3), np.uint8)
        data = PoseDataset(persons, COCO, size, cfg.align, make(cfg.augment), read=lambda path, black=black: black)
        samples = [data[epoch, i] for epoch in range(epochs) for i in range(len(data))]
        xy, weight = (torch.stack([getattr(sample, key) for sample in samples]) for key in ("xy", "weight"))
        kept = torch.cat([codec.encode(*part)[1] for part in zip(xy.split(64), weight.split(64), strict=True)])
        shown = weight * codec.in_crop(xy)
        found[row] = tuple(100 * float((of > 0).sum() / weight.sum()) for of in (kept, shown))
    return found


if __name__ == "__main__":
    for name, (published, crop) in learnt(Path(sys.argv[1])).items():
        print(f"| {name} | {LEARNT[name]} | {published:.1f} | {crop:.1f} |")
