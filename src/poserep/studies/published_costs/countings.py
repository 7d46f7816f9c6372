"""The four ways in which the papers' tools count multiply-accumulates.

The papers say GFLOPs and mean multiply-accumulates, by tools that leave out or put in different things. Their numbers
compare only within one tool; `poserep.models.cost.macs` is what a network really multiplies.

`hrnet` and `mmcv` look at layers, so that their numbers follow how a network's code is written.
"""

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from poserep.errors import InputError
from poserep.models import HRFormer, PoseNet
from poserep.models.backbones.hrformer_block import WindowAttention
from poserep.models.cost import macs, run_once

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

    ``layers`` are modules that the papers' tools see, with a tensor in and a tensor out, in the order in which they
    end, ``operations`` those of PyTorch's core in the order in which they run, attention taken apart into its products.
    ``products`` are the multiply-accumulates that are really done.
    """

    layers: list[TracedLayer]
    operations: list[TracedOperation]
    products: int


def trace(net: PoseNet, height: int, width: int, training: bool = False) -> Trace:
    """Record one pass of a network; for the arguments see `poserep.models.cost.run_once`."""
    mode, layers, hidden = _Operations(), list[TracedLayer](), _hidden(net)

    def end(module: nn.Module, inputs: Any, output: Any) -> None:
        if module not in hidden and inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            layers.append(TracedLayer(module, tuple(inputs[0].shape), tuple(output.shape)))

    counter = FlopCounterMode(display=False)
    with register_module_forward_hook(end):
        run_once(net, height, width, training, counter, mode)
    # The first two normalise the image, which no tool counts.
    return Trace(layers, mode.operations[2:], counter.get_total_flops() // 2)


def _hidden(net: PoseNet) -> set[nn.Module]:
    """Return the layers of HRFormer that its own code has in other forms, so that the papers' tools do not see them.

    Its batch norms are synchronised ones, which the tools do not know, and it runs the last projection of its attention
    as a function.
    """
    modules = list(net.backbone.modules()) if isinstance(net.backbone, HRFormer) else []
    norms = {module for module in modules if isinstance(module, nn.BatchNorm2d)}
    return norms | {module.out_proj for module in modules if isinstance(module, WindowAttention)}


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


# Layers that mmcv's tool knows, as far as networks of pictures have them: none of volumes, no pooling along one axis.
COUNTED_CONVOLUTIONS, TRANSPOSED = (nn.Conv1d, nn.Conv2d), (nn.ConvTranspose1d, nn.ConvTranspose2d)
COUNTED_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.LayerNorm)
ACTIVATIONS = (nn.ReLU, nn.PReLU, nn.ELU, nn.LeakyReLU, nn.ReLU6)
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)
# What the tool of DETR's family counts for an element of an operation's output.
PER_ELEMENT = dict.fromkeys(("add", "add_", "mul", "sub", "div", "floor_divide", "relu", "relu_"), 1)
PER_ELEMENT |= {"_softmax": 5, "_safe_softmax": 5}


def hrnet(layer: TracedLayer) -> int:
    """Count a layer as ``get_model_summary`` of HRNet's code does, in units of 2^30.

    It is printed by SimpleBaseline, HRNet, DARK, SimDR, SimCC and TokenPose. Convolutions and linear layers alone. Two
    mistakes: a transposed convolution is counted at the resolution of its output, 4 times too much, and a linear layer
    multiplies its output with the second dimension of its input, which is its features only if there are two
    dimensions: with (B, tokens, features) it is the tokens, and where a code puts the tokens first, as TransPose's does
    and ours doesn't, it would be B. Products of attention are left out.
    """
    if isinstance(layer.module, (*COUNTED_CONVOLUTIONS, *TRANSPOSED)):
        return layer.module.weight.numel() * prod(layer.output[2:])
    if isinstance(layer.module, nn.Linear):
        return prod(layer.output) * layer.input[1]
    return 0


def mmcv(layer: TracedLayer) -> int:
    """Count a layer as ``get_model_complexity_info`` of mmcv 1 does, printed by SRPose and HRFormer.

    By its class: convolutions and transposed ones with their biases, linear layers, and as if they
    multiplied, batch, layer and group norms (2 an element), ReLU, pooling and upsampling (1 an element). What a network
    does outside such layers is left out: products of attention, the projections of ``nn.MultiheadAttention``,
    interpolation and activations that are called as functions.
    """
    module, inputs, outputs = layer.module, prod(layer.input), prod(layer.output)
    if isinstance(module, COUNTED_CONVOLUTIONS):
        return outputs * (prod(module.weight.shape[1:]) + (module.bias is not None))
    if isinstance(module, TRANSPOSED):
        # The tool takes the height of the output for its width as well.
        bias = prod(layer.output[:2]) * layer.output[2] ** 2 if module.bias is not None else 0
        return inputs * prod(module.weight.shape[1:]) + bias
    if isinstance(module, nn.Linear):
        return inputs * module.out_features
    if isinstance(module, COUNTED_NORMS):
        return inputs * (2 if module.weight is not None else 1)
    if isinstance(module, POOLS):
        return inputs
    return outputs if isinstance(module, (*ACTIVATIONS, nn.Upsample)) else 0


def detr(traced: Trace) -> int:
    """Count as the tool of DETR's family does, as TransPose's code has it and its table prints it.

    Convolutions, linear layers and all products of matrices; element-wise sums, differences, products, quotients and
    ReLU (1 an element), dropout (1, though it does nothing), batch norm (4), softmax (5). Layer norm, pooling, GELU and
    interpolation are left out. One mistake: a transposed convolution is counted at the resolution of its output, 4
    times too much, and with its outputs in place of its inputs.
    """
    dropouts = (prod(layer.input) for layer in traced.layers if isinstance(layer.module, nn.Dropout))
    return sum(map(_detr, traced.operations)) + sum(dropouts)


def _detr(operation: TracedOperation) -> int:
    elements = prod(operation.output)
    if operation.name == "convolution":
        return elements * prod(operation.inputs[1][1:])
    if operation.name in ("mm", "bmm", "addmm", "baddbmm"):
        # The last of the inputs is the right matrix, whose rows are summed over.
        return elements * operation.inputs[-1][-2]
    return elements * (4 if "batch_norm" in operation.name else PER_ELEMENT.get(operation.name, 0))


def mmengine(traced: Trace) -> int:
    """Count as ``get_model_complexity_info`` of mmengine does, printed by RTMPose.

    It adds to the true products 2 for each element of a batch norm and 1 for each element of a mean.
    """
    norms = sum(prod(each.output) for each in traced.operations if "batch_norm" in each.name)
    averaged = sum(prod(each.inputs[0]) for each in traced.operations if each.name == "mean")
    return traced.products + 2 * norms + averaged


COUNTINGS: dict[str, Callable[[Trace], int]] = {
    "hrnet": lambda traced: sum(map(hrnet, traced.layers)),
    "mmcv": lambda traced: sum(map(mmcv, traced.layers)),
    "detr": detr,
    "mmengine": mmengine,
}
# By which tables divide the counts.
UNITS = {"hrnet": 2**30, "mmcv": 10**9, "detr": 10**9, "mmengine": 10**9}


def countings(net: PoseNet, height: int, width: int, training: bool = False) -> dict[str, int]:
    """Return multiply-accumulates for one image by every counting, and ``true`` ones; for the arguments see `trace`."""
    traced = trace(net, height, width, training)
    true = macs(net, height, width) if training else traced.products
    return {"true": true, **{name: count(traced) for name, count in COUNTINGS.items()}}


def gflops(net: PoseNet, height: int, width: int, name: str, training: bool = False) -> float:
    """Return multiply-accumulates for one image by one counting (`InputError` if unknown), in its tables' unit."""
    if name not in COUNTINGS:
        raise InputError(f"counting={name!r} is not one of {', '.join(COUNTINGS)}")
    return COUNTINGS[name](trace(net, height, width, training)) / UNITS[name]


class UnreadFusions(HRFormer):
    """HRFormer that gives its finest branch alone but runs its last fusions into the others, as SRPose counted it.

    Takes the options of `HRFormer`. Never train it: those fusions would be parameters without gradient.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(multiscale=True, **options)
        self.channels, self.strides = self.channels[:1], self.strides[:1]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Turn normalised images (B, C, H, W) into the finest map (B, channels[0], H / 4, W / 4)."""
        return super().forward(image)[:1]
