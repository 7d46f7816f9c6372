"""Batched codecs against loops over samples and joints, on noise too; and the benchmark that times one by the other.

To 1e-5 everywhere. Two things are left out: equal maxima, of which the pooled search takes another one than the search
by rows; and the published rules for joints beside the crop, which are compared in `vectors`.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from search_speed import pooled_peak
from torch import Tensor

from poserep.codecs import DARK, CentreOfMass, Gaussian, Heatmap, MultiScale, QuarterShift, SimCC, SoftArgmax
from poserep.codecs.losses import KL
from poserep.codecs.readouts import quarter_shift
from poserep.geometry import ALIGNMENTS, Size
from poserep.skeleton import COCO
from reference import loops

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

SIZE = Size(64, 48)
PERM = COCO.flip_perm()
PAIRS = [(COCO.names.index(left), COCO.names.index(right)) for left, right in COCO.pairs]


def pooled_quarter_shift(maps: Tensor) -> tuple[Tensor, Tensor]:
    xy, value = pooled_peak(maps, 16)
    return quarter_shift(maps, xy), value


any_alignment = pytest.mark.parametrize("align", ALIGNMENTS)


def same(ours, theirs, **tolerance) -> None:
    limits = {"rtol": 1e-5, "atol": 1e-5, **tolerance}
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.double(), torch.as_tensor(b).double(), **limits)


def joints(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Joints in and around the crop, on its borders too, and weights, zero among them."""
    generator = torch.Generator().manual_seed(seed)
    xy = (torch.rand(3, 17, 2, generator=generator) * 1.4 - 0.2) * torch.tensor([SIZE.width, SIZE.height])
    xy[0, :4] = torch.tensor([[-0.5, -0.5], [47.49, 63.49], [47.5, 10.0], [0.0, 63.0]])
    return xy, torch.tensor([1.0, 0.0, 0.5, 1.0])[torch.randint(0, 4, (3, 17), generator=generator)]


def maps(h: int, w: int, seed: int = 0) -> Tensor:
    """Peaks of every height, near the border too, in noise; noise alone; nothing positive at all."""
    rng = np.random.default_rng(seed)
    x, y, sigma = rng.uniform(-2, w + 2, 170), rng.uniform(-2, h + 2, 170), rng.uniform(0.7, 3, 170)
    rows, columns = np.mgrid[:h, :w]
    squares = (columns - x[:, None, None]) ** 2 + (rows - y[:, None, None]) ** 2
    found = rng.uniform(0, 1.2, 170)[:, None, None] * np.exp(-squares / (2 * sigma**2)[:, None, None])
    found += rng.choice([0.3, 0.02, 1e-4], 170)[:, None, None] * rng.normal(size=found.shape)
    found[::17] = rng.normal(size=found[::17].shape)
    found[1::17] = -np.abs(found[1::17]) - 0.1
    return torch.from_numpy(found.reshape(10, 17, h, w))


@any_alignment
@pytest.mark.parametrize("k", [1, 1.5, 2])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_simcc_targets_loss_and_gradients(align, k, reduction):
    codec = SimCC(SIZE, k=k, label=Gaussian(6.0), criterion=KL(reduction), align=align)
    xy, given = joints()
    target, weight = codec.encode(xy, given)
    loop, kept = loops.simcc_targets(xy.numpy(), given.numpy(), SIZE, k, 6.0, align)
    same((*target, weight), (*loop, kept))
    generator = torch.Generator().manual_seed(1)
    out = tuple((3 * torch.randn(t.shape, generator=generator)).requires_grad_() for t in target)
    ours = codec.loss(out, target, weight)
    loop = tuple(torch.from_numpy(part) for part in loop)
    theirs = loops.simcc_loss(out, loop, torch.from_numpy(kept), reduction == "mean")
    same((ours.detach(),), (theirs.detach(),))
    same(torch.autograd.grad(ours, out), torch.autograd.grad(theirs, out))


def test_simcc_decoding_and_flip_merge():
    generator = torch.Generator().manual_seed(2)
    codec = SimCC(SIZE, k=2, score="published", align="corner")
    out, mirrored = (
        tuple(2 * torch.randn(3, 17, axis.n, generator=generator) for axis in (codec.x, codec.y)) for _ in range(2)
    )
    arrays = [(x.numpy(), y.numpy()) for x, y in (out, mirrored)]
    bins, score = loops.simcc_decode(arrays[0])
    same(codec.decode(out), (bins / 2, score))
    for shift in (False, True):
        merged = SimCC(SIZE, k=2, flip_shift=-1 if shift else 0).merge(out, mirrored, PERM)
        same([m.exp() for m in merged], loops.simcc_merge(*arrays, PAIRS, shift))


@any_alignment
@pytest.mark.parametrize("stride,sigma", [(4, 1.0), (4, 1.5), (1, 8.0)])
def test_heatmap_targets(align, stride, sigma):
    xy, given = joints()
    ours = Heatmap(SIZE, stride=stride, sigma=sigma, align=align).encode(xy, given)
    same(ours, loops.heatmap_targets(xy.numpy(), given.numpy(), SIZE, stride, sigma, align))


@any_alignment
def test_srpose_targets(align):
    size = Size(128, 96)
    codec = MultiScale(size, align=align)
    xy, given = joints()
    target, weight = codec.encode(2 * xy, given)
    loop, kept = loops.srpose_targets(2 * xy.numpy(), given.numpy(), size, align=align)
    same((*target, weight), (*loop, kept))


@pytest.mark.parametrize("grad", [False, True])
def test_heatmap_flip_merge(grad):
    out, mirrored = maps(16, 12), maps(16, 12, seed=1)
    before = out.clone(), mirrored.clone()
    # No shift is needed where pixels line up.
    for align, shift in (("corner", 0), ("corner", 1), ("centre", None), ("edge", None), ("dark", None)):
        with torch.set_grad_enabled(grad):
            merged = Heatmap(SIZE, align=align, flip_shift=shift).merge(out, mirrored, PERM)
        same((merged,), (loops.heatmap_merge(out.numpy(), mirrored.numpy(), PAIRS, shift == 1),))
    assert torch.equal(out, before[0]) and torch.equal(mirrored, before[1])


STUDY = DARK(5, max_step=None, sigma=1, border="reflect")
READOUTS = {
    "quarter": (QuarterShift(), loops.quarter_shift),
    "pooled": (pooled_quarter_shift, loops.srpose_decode),
    "dark11": (DARK(11), lambda m: loops.dark(m, 11, 1.0)),
    "dark3": (DARK(3, 0.5), lambda m: loops.dark(m, 3, 0.5)),
    "dark11-unbounded": (DARK(11, None), lambda m: loops.dark(m, 11)),
    "dark3-unbounded": (DARK(3, None), lambda m: loops.dark(m, 3)),
    "dark-sigma": (DARK(5, max_step=None, sigma=1), lambda m: loops.dark(m, 5, None, 1.0)),
    "dark-study": (STUDY, lambda m: loops.dark(m, 5, None, 1.0, True)),
    "soft": (SoftArgmax(20.0), lambda m: loops.soft_argmax(m, 20.0)),
    "com": (CentreOfMass(), loops.centre_of_mass),
}


@pytest.mark.parametrize("name", READOUTS)
def test_readouts(name):
    readout, loop = READOUTS[name]
    for side, seed in (((64, 48), 0), ((64, 48), 1), ((64, 48), 2), ((40, 80), 3), ((9, 7), 4)):
        if name != "pooled" or side == (64, 48):  # whole blocks alone can be pooled
            given = maps(*side, seed)
            same(readout(given), loop(given.numpy()))


@pytest.mark.parametrize("job", ["SimCC decoding", "heatmap DARK, kernel 11", "SRPose decoding"])
def test_the_benchmark_checks_what_it_times(job):
    from rivals import JOBS, Job

    made = JOBS[job](2)
    made.check()
    with pytest.raises(AssertionError):
        Job(made.fast, lambda: tuple(torch.as_tensor(t) + 1e-3 for t in made.slow())).check()


@pytest.mark.long
def test_the_benchmark_reports_time_memory_and_goals(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["codecs.py"])
    benchmark().main(["--batch", "2", "--rounds", "2", "--calls", "1", "--only", "targets"])
    printed = capsys.readouterr().out
    assert "SRPose targets" in printed and "heatmap targets" in printed and "1000 MB" in printed


def test_shares_of_a_training_step():
    from shares import shares

    found = shares("cpu", "resnet18_s8", "64x64", batch=2, warmup=1, calls=2)
    rows = {(row["representation"], row["readout"]): row for row in found["rows"]}
    assert {("heatmap", "dark"), ("simcc", "argmax"), ("srpose", "shift"), ("rle", "point")} <= set(rows)
    assert found["step_ms"] > 0 and all(row["share"] > 0 for row in rows.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_shares_are_refused_without_a_gpu():
    with pytest.raises(SystemExit, match="torch sees none here"):
        benchmark().main(["--cuda"])


def benchmark():
    # Not by its name, which is that of a module of Python's.
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("codecs_benchmark", Path(__file__).parents[2] / "benchmarks" / "codecs.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
