"""Cost of codecs on a GPU, as a share of a training step of HRNet-W32 (`benchmarks/codecs.py --cuda`)."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from omegaconf import DictConfig
from steps import Steps
from torch import Tensor

from poserep.codecs import RLE, Codec
from poserep.config import compose, make
from poserep.geometry import Size
from poserep.models.heads.points import RealNVP
from poserep.overrides import CONF
from poserep.skeleton import COCO

GOAL = 0.03
NOISE = 0.02


def shares(
    device: str = "cuda",
    backbone: str = "hrnet_w32",
    size: str = "256x192",
    batch: int = 64,
    warmup: int = 10,
    calls: int = 50,
) -> dict[str, Any]:
    """Time every readout of every representation against one training step with heatmaps, bfloat16 as in trainer=gpu.

    Returns:
        ``step_ms``, and ``rows`` with the medians of ``encode_ms``, ``loss_ms`` (forward and backward, down to the
        head's output), ``decode_ms``, and ``share``, their sum over ``step_ms``.
    """
    cuda = torch.device(device).type == "cuda"
    if cuda:
        # As the trainer has it.
        torch.backends.cudnn.benchmark = True

    def median_ms(function: Callable[[], Any], ahead: bool = False) -> float:
        return statistics.median(_times(function, cuda, warmup, calls, ahead))

    generator = torch.Generator().manual_seed(0)
    xy = torch.rand(batch, COCO.num_keypoints, 2, generator=generator) * torch.tensor(Size.parse(size)[::-1])
    xy, weight = xy.to(device), torch.ones(batch, COCO.num_keypoints, device=device)
    step = Steps(backbone, "heatmap", size, batch, torch.device(device)).training(frozenset({"bf16"}))
    step_ms = median_ms(step, ahead=True)
    rows = []
    for path in sorted((CONF / "representation").glob("*.yaml")):
        cfg = _config(backbone, size, path.stem)
        if cfg.representation.get("scenes"):
            # Whole images have a benchmark of their own, `associative`.
            continue
        codec: Codec = make(cfg.representation.codec, size=Size.parse(size), align=cfg.align, sigmas=COCO.sigmas)
        codec = codec.to(device)
        out = _noisy(codec.oracle(codec.encode(xy, weight)[0]))
        encode_ms = median_ms(lambda codec=codec: codec.encode(xy, weight))
        loss_ms = median_ms(_loss(codec, out, xy, weight))
        for readout in codec.readouts:
            decode_ms = median_ms(_decode(codec, out, readout))
            rows.append(
                {
                    "representation": path.stem,
                    "readout": readout,
                    "encode_ms": encode_ms,
                    "loss_ms": loss_ms,
                    "decode_ms": decode_ms,
                    "share": (encode_ms + loss_ms + decode_ms) / step_ms,
                }
            )
    return {"step_ms": step_ms, "backbone": backbone, "size": size, "batch": batch, "calls": calls, "rows": rows}


def _config(backbone: str, size: str, representation: str) -> DictConfig:
    overrides = [f"backbone={backbone}", f"size={size}", f"representation={representation}", "trainer=gpu"]
    return compose([*overrides, "optim=adam_step"]).cfg


def _times(function: Callable[[], Any], cuda: bool, warmup: int, calls: int, ahead: bool) -> list[float]:
    """Return the milliseconds of each call, on a GPU between two events of its queue.

    With ``ahead`` Python may queue calls before earlier ones have ended, as it does in training; so the training step
    is measured. Codecs are measured without, so that what the GPU waits for Python counts against them although in
    training it need not wait: shares are upper bounds.
    """
    for _ in range(warmup):
        function()
    if not cuda:
        found = []
        for _ in range(calls):
            start = time.perf_counter()
            function()
            found.append(1000 * (time.perf_counter() - start))
        return found
    torch.cuda.synchronize()
    pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(calls)]
    for start, end in pairs:
        start.record()
        function()
        end.record()
        if not ahead:
            end.synchronize()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) for start, end in pairs]


def _loss(codec: Codec, out: Any, xy: Tensor, weight: Tensor) -> Callable[[], Any]:
    leaves = _each(out, lambda o: o.to(torch.bfloat16).requires_grad_())
    if isinstance(codec, RLE):
        # Perfect outputs have no density; in training its flow is most of the loss's work.
        leaves = (*leaves[:2], RealNVP().to(xy.device).log_prob)
    target, kept = codec.encode(xy, weight)
    inputs = [o for o in (leaves if isinstance(leaves, tuple) else (leaves,)) if isinstance(o, Tensor)]

    def loss() -> Any:
        return torch.autograd.grad(codec.loss(leaves, target, kept), inputs)

    return loss


def _decode(codec: Codec, out: Any, readout: str) -> Callable[[], Any]:
    # In single precision, as evaluation does.
    return torch.inference_mode()(lambda: codec.decode(out, readout))


def _noisy(out: Any) -> Any:
    return _each(out, lambda o: o + NOISE * torch.randn_like(o))


def _each(out: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(out, tuple):
        return tuple(function(o) if isinstance(o, Tensor) else o for o in out)
    return function(out)
