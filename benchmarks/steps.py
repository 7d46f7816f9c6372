"""Training steps of networks alone, without data: eager float32 against channels_last, bfloat16 and compilation."""

import copy
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from stopwatch import race
from torch import nn

from poserep.config import compose
from poserep.data.from_config import skeleton_of
from poserep.geometry import Size
from poserep.models import Stacks
from poserep.training.network import build_network

# What is switched on, one after the other.
VARIANTS: dict[str, dict[str, bool]] = {
    "eager float32": {},
    "channels_last": {"channels_last": True},
    "channels_last, bf16": {"channels_last": True, "bf16": True},
    "channels_last, bf16, compiled": {"channels_last": True, "bf16": True, "compiled": True},
}


def step(
    net: nn.Module, codec: Any, images: torch.Tensor, xy: torch.Tensor, bf16: bool, compiled: bool
) -> Callable[[], None]:
    """Return one step of Adam: forward, targets, loss, backward, update, as `poserep.training.module` does them."""
    kind = images.device.type
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    weight = torch.ones(xy.shape[:2], device=xy.device)
    forward: Any = torch.compile(net) if compiled else net

    def run() -> None:
        optimizer.zero_grad()
        with torch.autocast(kind, torch.bfloat16, enabled=bf16):
            out = forward(images)
        target, usable = codec.encode(xy, weight)
        outs = out if isinstance(out, Stacks) else (out,)
        loss = torch.stack([codec.loss(o, target, usable) for o in outs]).sum()
        loss.backward()
        optimizer.step()
        if kind == "cuda":
            torch.cuda.synchronize()

    return run


def ratios(backbone: str, representation: str, size: str, batch: int, device: str, rounds: int) -> dict[str, Any]:
    """Return the milliseconds of a step of every variant, and how much faster than the first each is, in turns."""
    torch.manual_seed(0)
    overrides = [f"backbone={backbone}", f"representation={representation}", f"size={size}"]
    cfg = compose([*overrides, "trainer.channels_last=false"]).cfg
    skeleton = skeleton_of(cfg)
    net, codec = build_network(cfg, skeleton)
    shape = Size.parse(size)
    images = torch.randint(0, 256, (batch, 3, *shape), dtype=torch.uint8, device=device)
    xy = torch.rand(batch, skeleton.num_keypoints, 2, device=device) * (min(shape) - 1)
    codec.to(device)
    rivals = {}
    for name, on in VARIANTS.items():
        own = copy.deepcopy(net).to(device).train()
        own.channels_last = on.get("channels_last", False)
        if own.channels_last:
            own.to(memory_format=torch.channels_last)
        run = step(own, codec, images, xy, on.get("bf16", False), on.get("compiled", False))
        # Compilation and the choice of kernels.
        for _ in range(3):
            run()
        rivals[name] = (run, 1)
    found = race(rivals, rounds)
    first = found["eager float32"]
    row: dict[str, Any] = {"backbone": backbone, "representation": representation, "size": size, "batch": batch}
    for name, seconds in found.items():
        low, ratio, high = statistics.quantiles(
            [a / b for a, b in zip(first, seconds, strict=True)], n=4, method="inclusive"
        )
        row[name] = {"ms": 1000 * statistics.median(seconds), "ratio": ratio, "p25": low, "p75": high}
    return row


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as text."""
    lines = []
    for row in rows:
        lines.append(f"{row['backbone']}, {row['representation']}, {row['size']}, batch {row['batch']}")
        for name in VARIANTS:
            v = row[name]
            lines.append(f"  {name:32} {v['ms']:8.1f} ms   x{v['ratio']:.2f} ({v['p25']:.2f} to {v['p75']:.2f})")
    return "\n".join(lines)
