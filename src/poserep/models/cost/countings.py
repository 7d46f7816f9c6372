"""True multiply-accumulates, and the three ways in which the papers' tools count them.

The papers say GFLOPs and mean multiply-accumulates, by tools that leave out or put in different things. Their numbers
compare only within one tool; `macs` is what a network really multiplies.

`hrnet` and `mmcv` look at layers, so that their numbers follow how a network's code is written. Where the published
code has no layer that the tools know, as HRFormer with its synchronised batch norms and the last projection of its
attention, the layer here has a true attribute ``uncounted``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

from torch import nn

from poserep.errors import InputError
from poserep.models.cost.record import Layer, Operation, Record, record
from poserep.models.model import PoseNet

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm, nn.LayerNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
ACTIVATIONS = (nn.ReLU, nn.PReLU, nn.ELU, nn.LeakyReLU, nn.ReLU6)
POOLS = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)
ELEMENTWISE = {"add", "add_", "mul", "sub", "div", "floor_divide", "relu", "relu_"}
SOFTMAX = {"_softmax", "_safe_softmax"}


def true(found: Record) -> int:
    """Products of convolutions, linear layers and matrices, attention's included.

    A transposed convolution multiplies every pixel of its input with the whole kernel. Half of what PyTorch's
    ``FlopCounterMode`` counts.
    """
    return sum(_true(operation) for operation in found.operations)


def _true(operation: Operation) -> int:
    if operation.name == "convolution":
        image, weight = operation.inputs[:2]
        return prod(image if operation.transposed else operation.output) * prod(weight[1:])
    return _product(operation)


def _product(operation: Operation) -> int:
    """Of two matrices, in batches or not, with or without something to add them to."""
    if operation.name in ("mm", "bmm", "mv", "dot"):
        return prod(operation.output) * operation.inputs[0][-1]
    if operation.name in ("addmm", "baddbmm", "addmv"):
        return prod(operation.output) * operation.inputs[1][-1]
    return 0


def hrnet(found: Record) -> int:
    """``get_model_summary`` of HRNet's code, printed by SimpleBaseline, HRNet, DARK, SimDR, SimCC and TokenPose.

    Convolutions and linear layers alone. Two mistakes: a transposed convolution is counted at the resolution of its
    output, 4 times too much, and a linear layer multiplies its output with the second dimension of its input, which is
    its features only if there are two dimensions: with (B, tokens, features) it is the tokens, and where a code puts
    the tokens first, as TransPose's does and ours doesn't, it would be B. Products of attention are left out. Given in
    units of 2^30.
    """
    return sum(_hrnet(layer) for layer in _counted(found))


def _counted(found: Record) -> Iterator[Layer]:
    return (layer for layer in found.layers if not getattr(layer.module, "uncounted", False))


def _hrnet(layer: Layer) -> int:
    if isinstance(layer.module, (*CONVOLUTIONS, *TRANSPOSED)):
        return layer.module.weight.numel() * prod(layer.output[2:])
    if isinstance(layer.module, nn.Linear):
        return prod(layer.output) * layer.input[1]
    return 0


def mmcv(found: Record) -> int:
    """``get_model_complexity_info`` of mmcv 1, printed by SRPose and HRFormer.

    Layers alone, by their class: convolutions and transposed ones with their biases, linear layers, and as if they
    multiplied, batch, layer and group norms (2 an element), ReLU, pooling and upsampling (1 an element). What a network
    does outside such layers is left out: products of attention, the projections of ``nn.MultiheadAttention``,
    interpolation and activations that are called as functions.
    """
    return sum(_mmcv(layer) for layer in _counted(found))


def _mmcv(layer: Layer) -> int:
    module, inputs, outputs = layer.module, prod(layer.input), prod(layer.output)
    if isinstance(module, CONVOLUTIONS):
        return outputs * (prod(module.weight.shape[1:]) + (module.bias is not None))
    if isinstance(module, TRANSPOSED):
        # The tool takes the height of the output for its width as well.
        bias = prod(layer.output[:2]) * layer.output[2] ** 2 if module.bias is not None else 0
        return inputs * prod(module.weight.shape[1:]) + bias
    if isinstance(module, nn.Linear):
        return inputs * module.out_features
    if isinstance(module, NORMS):
        return inputs * (2 if module.weight is not None else 1)
    if isinstance(module, POOLS):
        return inputs
    return outputs if isinstance(module, (*ACTIVATIONS, nn.Upsample)) else 0


def detr(found: Record) -> int:
    """The operation counter of DETR's family, as TransPose's code has it and its table prints it.

    Convolutions, linear layers and all products of matrices; element-wise sums, differences, products, quotients and
    ReLU (1 an element), dropout (1, though it does nothing), batch norm (4), softmax (5). Layer norm, pooling, GELU and
    interpolation are left out. One mistake: a transposed convolution is counted at the resolution of its output, 4
    times too much, and with its outputs in place of its inputs.
    """
    dropouts = (prod(layer.input) for layer in found.layers if isinstance(layer.module, nn.Dropout))
    return sum(_detr(operation) for operation in found.operations) + sum(dropouts)


def _detr(operation: Operation) -> int:
    elements = prod(operation.output)
    if operation.name == "convolution":
        return elements * prod(operation.inputs[1][1:])
    if operation.name in ELEMENTWISE:
        return elements
    if operation.name in SOFTMAX:
        return 5 * elements
    if "batch_norm" in operation.name:
        return 4 * elements
    return _product(operation)


@dataclass(frozen=True)
class Counting:
    """A way of counting multiply-accumulates.

    Attributes:
        name: Short.
        count: A recorded pass to a number.
        unit: What tables divide it by.
        note: What it counts and who prints it, in a line.
    """

    name: str
    count: Callable[[Record], int]
    unit: int
    note: str


COUNTINGS = (
    Counting("true", true, 10**9, "every product of convolutions, linear layers and attention"),
    Counting(
        "hrnet",
        hrnet,
        2**30,
        "SimpleBaseline, HRNet, DARK, SimCC, TokenPose: deconvolutions x4, linear layers by tokens, no attention",
    ),
    Counting("mmcv", mmcv, 10**9, "SRPose, HRFormer: norms, ReLU and pooling too, no attention products"),
    Counting("detr", detr, 10**9, "TransPose: element-wise operations and softmax too, deconvolutions x4"),
)


def countings(net: PoseNet, height: int, width: int, channels: int = 3, training: bool = False) -> dict[str, int]:
    """Multiply-accumulates for one image by every counting, see `COUNTINGS`; for the arguments see `record`."""
    found = record(net, height, width, channels, training)
    return {counting.name: counting.count(found) for counting in COUNTINGS}


def counted(net: PoseNet, height: int, width: int, name: str, channels: int = 3, training: bool = False) -> float:
    """Multiply-accumulates for one image by one counting, in the unit of the tables that take it.

    Raises:
        InputError: If there is no counting of that name.
    """
    for counting in COUNTINGS:
        if counting.name == name:
            return counting.count(record(net, height, width, channels, training)) / counting.unit
    raise InputError(f"counting={name!r} is not one of {[counting.name for counting in COUNTINGS]}")


def macs(net: PoseNet, height: int, width: int, channels: int = 3) -> int:
    """True multiply-accumulates for one image of that size, see `true`."""
    return true(record(net, height, width, channels))
