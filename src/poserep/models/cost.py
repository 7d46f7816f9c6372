"""What a network costs: parameters and multiply-accumulates."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(module: nn.Module, training: bool = False) -> int:
    """Number of parameters; without ``training`` those of parts that only training runs are left out."""
    count = sum(p.numel() for p in module.parameters())
    if training:
        return count
    extra = (m for m in module.modules() if getattr(m, "training_only", False))
    return count - sum(p.numel() for m in extra for p in m.parameters())


def macs(net: nn.Module, height: int, width: int, channels: int = 3) -> int:
    """True multiply-accumulates for one image of that size: convolutions, linear layers and matrix products.

    Transposed convolutions count at their input's resolution, unlike in the papers' tables.
    """
    training = net.training
    device = next(net.parameters()).device
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(1, channels, height, width, dtype=torch.uint8, device=device))
    net.train(training)
    return counter.get_total_flops() // 2
