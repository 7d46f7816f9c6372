"""Parameters and multiply-accumulates of a network, whole and by part, and what results record of them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from poserep.models.model import PoseNet

# The published code keeps its position tables among the parameters; here they are buffers of that name.
TABLE_BUFFER = "pos_embedding"


def parameters(module: nn.Module, training: bool = False, tables: bool = False) -> int:
    """Count the parameters, if asked with those of parts that only ``training`` runs.

    TransPose's paper counts fixed position ``tables`` too, TokenPose's does not.
    """
    count = sum(p.numel() for p in module.parameters())
    return count - (0 if training else training_only(module)) + (table_elements(module) if tables else 0)


def training_only(module: nn.Module) -> int:
    """Count the parameters of parts that only training runs (``training_only``)."""
    extra = (m for m in module.modules() if getattr(m, "training_only", False))
    return sum(p.numel() for m in extra for p in m.parameters())


def table_elements(module: nn.Module) -> int:
    """Count the elements of fixed position tables."""
    return sum(buffer.numel() for name, buffer in module.named_buffers() if TABLE_BUFFER in name)


class Part(NamedTuple):
    """A part of a network, such as ``head.final_layer``, and its numbers of parameters.

    ``params`` leave out what only training runs; ``frozen`` are those that take no gradient.
    """

    path: str
    params: int
    frozen: int
    training_only: int
    tables: int


def parts(net: nn.Module) -> list[Part]:
    """List backbone and head, each followed by its children where it has several.

    A wrapper around a single child counts as that child. Parameters that a part holds itself are under their own names.
    """
    rows = []
    for path, module in net.named_children():
        rows.append(_part(path, module))
        while len(children := list(module.named_children())) == 1 and not list(module.parameters(recurse=False)):
            path, module = f"{path}.{children[0][0]}", children[0][1]
        inner = [_part(f"{path}.{name}", child) for name, child in children]
        for name, p in module.named_parameters(recurse=False):
            inner.append(Part(f"{path}.{name}", p.numel(), 0 if p.requires_grad else p.numel(), 0, 0))
        for name, buffer in module.named_buffers(recurse=False):
            if TABLE_BUFFER in name:
                inner.append(Part(f"{path}.{name}", 0, 0, 0, buffer.numel()))
        inner = [part for part in inner if part.params or part.training_only or part.tables]
        rows += inner if len(inner) > 1 else []
    return rows


def _part(path: str, module: nn.Module) -> Part:
    frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
    return Part(path, parameters(module), frozen, training_only(module), table_elements(module))


def summary(net: PoseNet, height: int, width: int) -> dict[str, Any]:
    """Count parameters and multiply-accumulates (``gmacs``, 10^9) for one image of that size, px, whole and by part.

    ``params`` are those that prediction runs, ``params_frozen`` those that take no gradient; beside them stand
    ``params_training_only`` and ``params_tables`` (fixed position tables, which some papers count).
    """
    counts = macs_by_module(net, height, width)
    return {
        "params": parameters(net),
        "params_backbone": parameters(net.backbone),
        "params_head": parameters(net.head),
        "params_frozen": sum(p.numel() for p in net.parameters() if not p.requires_grad),
        "params_training_only": training_only(net),
        "params_tables": table_elements(net),
        "gmacs": counts[""] / 1e9,
        "parts": [{**part._asdict(), "gmacs": counts.get(part.path, 0) / 1e9} for part in parts(net)],
    }


def macs(net: PoseNet, height: int, width: int) -> int:
    """Count the multiply-accumulates for one image of that size, px: half of PyTorch's floating-point operations.

    These are all products of convolutions, linear layers and matrices, attention's included. A transposed convolution
    multiplies every pixel of its input with the whole kernel.
    """
    return macs_by_module(net, height, width)[""]


def macs_by_module(net: PoseNet, height: int, width: int) -> dict[str, int]:
    """Count multiply-accumulates as `macs` does, by the path of each module that holds some; the whole is ``""``."""
    counter = FlopCounterMode(display=False)
    run_once(net, height, width, False, counter)
    called = {path: sum(flops.values()) // 2 for path, flops in counter.get_flop_counts().items()}
    whole = type(net).__name__
    counts = {path.removeprefix(whole).lstrip("."): n for path, n in called.items() if path.startswith(whole)}
    # Lists of modules, and trunks whose forward is not called itself, have what is in them.
    for path, module in reversed(list(net.named_modules())):
        if path not in counts:
            counts[path] = sum(counts.get(f"{path}.{name}", 0) for name, _ in module.named_children())
    return counts


def run_once(net: PoseNet, height: int, width: int, training: bool, *watchers: AbstractContextManager[Any]) -> None:
    """Run a network on one image of zeros inside ``watchers``, innermost last; the network is left as it was.

    Attention is taken apart into its products, which would not be seen inside of one fused operation. On the ``meta``
    device nothing is computed. With ``training`` the head emits what training reads, such as SRPose's other predictors;
    statistics stay fixed.
    """
    one = next(net.parameters())
    image = torch.zeros(1, net.channels, height, width, dtype=one.dtype, device=one.device)
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast_path)
        torch.backends.mha.set_fastpath_enabled(False)
        stack.enter_context(set_modes(net, False, training))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        for watcher in watchers:
            stack.enter_context(watcher)
        net(image)


@contextmanager
def set_modes(net: PoseNet, training: bool, head: bool) -> Iterator[None]:
    """Put a network into training or evaluation mode for a while, and its head into training mode or not."""
    modes = [(module, module.training) for module in net.modules()]
    net.train(training)
    net.head.training = head
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
