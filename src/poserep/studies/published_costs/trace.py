"""One pass of a network, layer by layer and operation by operation: what the papers' countings read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from poserep.models import PoseNet
from poserep.models.cost import run_once

Shape = tuple[int, ...]


class TracedLayer(NamedTuple):
    """A module that was run, with the shapes of its first input and of its output."""

    module: nn.Module
    input: Shape
    output: Shape


class TracedOperation(NamedTuple):
    """An operation of PyTorch's core that was run, with the shapes of its tensors."""

    name: str
    inputs: tuple[Shape, ...]
    output: Shape


class Trace(NamedTuple):
    """One pass, from the normalised image to the head's output.

    Attributes:
        layers: Modules with a tensor in and a tensor out, in the order in which they end.
        operations: Operations in the order in which they run, attention taken apart into its products.
    """

    layers: list[TracedLayer]
    operations: list[TracedOperation]


def trace(net: PoseNet, height: int, width: int, training: bool = False) -> Trace:
    """Record one pass of a network; for the arguments see `poserep.models.cost.run_once`."""
    mode, layers = _Operations(), list[TracedLayer]()
    run_once(net, height, width, training, _layers_of(net, layers), mode)
    # The first two normalise the image, which no tool counts.
    return Trace(layers, mode.operations[2:])


@contextmanager
def _layers_of(net: nn.Module, layers: list[TracedLayer]) -> Iterator[None]:
    def end(module: nn.Module, inputs: Any, output: Any) -> None:
        if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            layers.append(TracedLayer(module, tuple(inputs[0].shape), tuple(output.shape)))

    handles = [module.register_forward_hook(end) for module in net.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[TracedOperation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        first = out[0] if isinstance(out, tuple | list) and out else out
        if isinstance(first, Tensor):
            inputs = tuple(tuple(a.shape) for a in args if isinstance(a, Tensor))
            self.operations.append(TracedOperation(func.overloadpacket.__name__, inputs, tuple(first.shape)))
        return out
