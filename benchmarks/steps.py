"""Steps of networks alone, without data: training and validation, in the ways that can be switched on."""

import copy
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from stopwatch import race
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._pytree import tree_leaves, tree_map

from poserep.codecs import Codec
from poserep.config import compose
from poserep.data.from_config import skeleton_of
from poserep.geometry import Size
from poserep.models import Stacks
from poserep.training.network import build_network

# What is switched on, one after the other.
VARIANTS: dict[str, frozenset[str]] = {
    "eager float32": frozenset({"contiguous"}),
    "channels_last": frozenset(),
    "channels_last, bf16": frozenset({"bf16"}),
    "channels_last, bf16, one thread": frozenset({"bf16", "one thread"}),
    "channels_last, bf16, compiled": frozenset({"bf16", "compiled"}),
}
# Operators that a profile lists, those that take longest.
LISTED = 8


class Steps:
    """Training steps and validation of one network, on pictures and joints that lie on its device."""

    def __init__(self, backbone: str, representation: str, size: str, batch: int, device: torch.device) -> None:
        overrides = [f"backbone={backbone}", f"representation={representation}", f"size={size}", "trainer=gpu"]
        cfg = compose(overrides).cfg
        skeleton, shape = skeleton_of(cfg), Size.parse(size)
        torch.manual_seed(0)
        net, codec = build_network(cfg, skeleton)
        self.names = backbone, representation
        self.net: nn.Module = net.to(device, memory_format=torch.channels_last)
        self.codec: Codec = codec.to(device)
        self.image = torch.randint(0, 256, (batch, 3, *shape), dtype=torch.uint8, device=device)
        self.xy = torch.rand(batch, skeleton.num_keypoints, 2, device=device) * (min(shape) - 1)
        self.weight = torch.ones(self.xy.shape[:2], device=device)
        self.kind, self.perm = device.type, skeleton.flip_perm().to(device)

    def copied(self, channels_last: bool = True) -> Any:
        """Return a copy of the network, in one of the two layouts."""
        net = copy.deepcopy(self.net)
        net.channels_last = channels_last
        return net.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)

    def loss(self, out: Any) -> Tensor:
        """Return the loss of an output, targets included, as training computes it."""
        target, weight = self.codec.encode(self.xy, self.weight)
        return torch.stack(
            [self.codec.loss(o, target, weight) for o in (out if isinstance(out, Stacks) else (out,))]
        ).sum()

    def training(self, on: frozenset[str]) -> Callable[[], Any]:
        """Return a step of Adam: forward, targets, loss, backward, update, as `poserep.training.module` does them.

        What is switched ``on``: ``bf16``, ``fused`` Adam on a GPU, ``compiled``, with CUDA ``graphs``, and
        ``contiguous`` for the layout that is not channels_last.
        """
        net = self.copied("contiguous" not in on).train()
        fused = {"fused": True} if "fused" in on and self.kind == "cuda" else {}
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, **fused)
        forward: Any = net
        if "compiled" in on:
            forward = torch.compile(net, mode="reduce-overhead" if "graphs" in on else None)

        def step() -> None:
            with torch.autocast(self.kind, torch.bfloat16, enabled="bf16" in on):
                out = forward(self.image)
            self.loss(out).backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    def validation(self, on: frozenset[str]) -> Callable[[], Any]:
        """Return what evaluation does with a batch: two passes for the flip test, and one readout."""
        net = self.copied().eval()

        @torch.inference_mode()
        def run() -> Any:
            with torch.autocast(self.kind, torch.bfloat16, enabled="bf16" in on):
                out, mirrored = net(self.image), net(self.codec.mirror(self.image))
            return self.codec.decode(self.codec.merge(out, mirrored, self.perm))

        return run

    def targets_and_loss(self) -> Callable[[], Any]:
        """Return targets, loss and the gradient down to the head's output."""
        with torch.no_grad(), torch.autocast(self.kind, torch.bfloat16):
            out = self.net(self.image)
        # Stacks are a leaf to PyTorch's trees.
        given = tree_map(lambda o: o.detach().requires_grad_(), list(out) if isinstance(out, Stacks) else out)
        whole = Stacks(given) if isinstance(out, Stacks) else given
        return lambda: torch.autograd.grad(self.loss(whole), tree_leaves(given))


def ratios(backbone: str, representation: str, size: str, batch: int, device: str, rounds: int) -> dict[str, Any]:
    """Return the milliseconds of a step of every variant, how much faster than the first each is, and a profile.

    The profile has the operators that took longest of the variant with channels_last, in percent of all.
    """
    steps, threads = Steps(backbone, representation, size, batch, torch.device(device)), torch.get_num_threads()

    def waited(run: Callable[[], Any], on: frozenset[str]) -> Callable[[], None]:
        def step() -> None:
            torch.set_num_threads(1 if "one thread" in on else threads)
            run()
            if steps.kind == "cuda":
                torch.cuda.synchronize()

        return step

    rivals = {}
    for name, on in VARIANTS.items():
        run = waited(steps.training(on), on)
        # Compilation and the choice of kernels.
        for _ in range(3):
            run()
        rivals[name] = (run, 1)
    found = race(rivals, rounds)
    torch.set_num_threads(threads)
    first = found["eager float32"]
    row: dict[str, Any] = {"backbone": backbone, "representation": representation, "size": size, "batch": batch}
    row["profile"] = {name: operators(rivals[name][0]) for name in ("channels_last", "channels_last, bf16")}
    for name, seconds in found.items():
        low, ratio, high = statistics.quantiles(
            [a / b for a, b in zip(first, seconds, strict=True)], n=4, method="inclusive"
        )
        row[name] = {"ms": 1000 * statistics.median(seconds), "ratio": ratio, "p25": low, "p75": high}
    return row


def operators(run: Callable[[], Any], calls: int = 3) -> dict[str, float]:
    """Return the operators that take longest, in percent of the processor's time, the others as one."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(calls):
            run()
    times = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    listed = sorted(times, key=lambda key: -times[key])[:LISTED]
    total = sum(times.values())
    shares = {key: 100 * times[key] / total for key in listed}
    return {**shares, "all others": 100 - sum(shares.values())}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as text."""
    lines = []
    for row in rows:
        lines.append(f"{row['backbone']}, {row['representation']}, {row['size']}, batch {row['batch']}")
        for name in VARIANTS:
            v = row[name]
            lines.append(f"  {name:32} {v['ms']:8.1f} ms   x{v['ratio']:.2f} ({v['p25']:.2f} to {v['p75']:.2f})")
        for name, shares in row["profile"].items():
            lines.append(f"  {name}: " + ", ".join(f"{key} {share:.0f} %" for key, share in shares.items()))
    return "\n".join(lines)
