"""What a network does for one image, layer by layer and operation by operation; every counting reads this."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from poserep.models.model import PoseNet

Shape = tuple[int, ...]


class Layer(NamedTuple):
    """A module that was run, with the shapes of its first input and of its output."""

    path: str
    module: nn.Module
    input: Shape
    output: Shape


class Operation(NamedTuple):
    """An operation that was run, with the shapes of its tensors; ``transposed`` tells convolutions apart."""

    path: str
    name: str
    inputs: tuple[Shape, ...]
    output: Shape
    transposed: bool


@dataclass
class Record:
    """One pass, from the normalised image to the head's output.

    Attributes:
        layers: Those with a tensor in and a tensor out, in the order in which they end.
        operations: Of PyTorch's core, attention taken apart into its products.
    """

    layers: list[Layer] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)

    def within(self, path: str) -> "Record":
        """What happens inside one part, such as ``head`` or ``backbone.trunk``."""

        def inside(found: str) -> bool:
            return found == path or found.startswith(f"{path}.")

        return Record(
            [layer for layer in self.layers if inside(layer.path)],
            [operation for operation in self.operations if inside(operation.path)],
        )


def record(net: PoseNet, height: int, width: int, channels: int = 3, training: bool = False) -> Record:
    """Run a network on one image of zeros and note what happens; the network is left as it was.

    Args:
        net: On any device; on the ``meta`` device nothing is computed.
        height: Of the image, px.
        width: Of the image, px.
        channels: Of the image.
        training: Let the head emit what training reads (SRPose's other predictors), statistics still fixed.
    """
    found = Record()
    where: list[str] = []
    with ExitStack() as stack:
        stack.enter_context(set_modes(net, False, training))
        stack.enter_context(_watched(net, found, where))
        # Fused attention is one operation, whose products would not be seen.
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(_unfused())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        image = zeros(net, 1, height, width, channels)
        stack.enter_context(_Operations(found, where))
        net.head(net.backbone(image))
    return found


def zeros(net: PoseNet, batch: int, height: int, width: int, channels: int = 3) -> Tensor:
    """Normalised images on the network's device, of its type and memory layout."""
    one = next(net.parameters())
    layout = torch.channels_last if net.channels_last else torch.contiguous_format
    return torch.zeros(batch, channels, height, width, dtype=one.dtype, device=one.device).to(memory_format=layout)


@contextmanager
def set_modes(net: PoseNet, training: bool, head: bool) -> Iterator[None]:
    """Training or evaluation mode for a while, and whether the head emits what training reads."""
    modes = [(module, module.training) for module in net.modules()]
    net.train(training)
    net.head.training = head
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _unfused() -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _watched(net: nn.Module, found: Record, where: list[str]) -> Iterator[None]:
    """Note every layer as it ends, and in ``where`` those that are being run."""
    handles = []
    for path, module in net.named_modules():

        def begin(module: nn.Module, inputs: Any, path: str = path) -> None:
            where.append(path)

        def end(module: nn.Module, inputs: Any, output: Any, path: str = path) -> None:
            where.pop()
            if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
                found.layers.append(Layer(path, module, tuple(inputs[0].shape), tuple(output.shape)))

        handles += [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Operations(TorchDispatchMode):
    def __init__(self, found: Record, where: list[str]) -> None:
        super().__init__()
        self.found, self.where = found, where

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        first = out[0] if isinstance(out, tuple | list) and out else out
        if isinstance(first, Tensor):
            name = func.overloadpacket.__name__
            inputs = tuple(tuple(a.shape) for a in args if isinstance(a, Tensor))
            # The seventh argument of a convolution says so.
            transposed = name == "convolution" and bool(args[6])
            path = self.where[-1] if self.where else ""
            self.found.operations.append(Operation(path, name, inputs, tuple(first.shape), transposed))
        return out
