"""What a network costs: parameters by part, multiply-accumulates, and memory of activations."""

import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

from poserep.models.heads.base import Stacks
from poserep.models.model import PoseNet
from poserep.models.weights.load import POSITION_TABLE


def parameters(module: nn.Module, training: bool = False, tables: bool = False) -> int:
    """Count the parameters, if asked with those of parts that only ``training`` runs.

    TransPose's paper counts fixed position ``tables`` too, TokenPose's does not.
    """
    part = _part("", module)
    return part.params + (part.training_only if training else 0) + (part.tables if tables else 0)


class Part(NamedTuple):
    """A part of a network, such as ``head.final_layer``, and its numbers of parameters.

    ``params`` leave out those of modules that only training runs (``training_only``); ``frozen`` are those that take no
    gradient, ``tables`` the elements of fixed position tables.
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
        own = ((name, nn.ParameterList([p])) for name, p in module.named_parameters(recurse=False))
        inner = [_part(f"{path}.{name}", child) for name, child in (*children, *own)]
        for name, buffer in module.named_buffers(recurse=False):
            if POSITION_TABLE in name:
                inner.append(Part(f"{path}.{name}", 0, 0, 0, buffer.numel()))
        inner = [part for part in inner if any(part[1:])]
        rows += inner if len(inner) > 1 else []
    return rows


def _part(path: str, module: nn.Module) -> Part:
    frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
    extra = (m for m in module.modules() if getattr(m, "training_only", False))
    training_only = sum(p.numel() for m in extra for p in m.parameters())
    tables = sum(buffer.numel() for name, buffer in module.named_buffers() if POSITION_TABLE in name)
    return Part(path, sum(p.numel() for p in module.parameters()) - training_only, frozen, training_only, tables)


def summary(net: PoseNet, height: int, width: int) -> dict[str, Any]:
    """Count parameters and multiply-accumulates (``gmacs``, 10^9) for one image of that size, px, whole and by part.

    ``params`` are those that prediction runs, ``params_frozen`` those that take no gradient; beside them stand
    ``params_training_only`` and ``params_tables`` (fixed position tables, which some papers count).
    """
    counts, whole = macs_by_module(net, height, width), _part("", net)
    return {
        "params": whole.params,
        "params_backbone": parameters(net.backbone),
        "params_head": parameters(net.head),
        "params_frozen": whole.frozen,
        "params_training_only": whole.training_only,
        "params_tables": whole.tables,
        "gmacs": counts[""] / 1e9,
        "parts": [{**part._asdict(), "gmacs": counts.get(part.path, 0) / 1e9} for part in parts(net)],
    }


def macs(net: PoseNet, height: int, width: int) -> int:
    """Count the multiply-accumulates for one image of that size, px: half of PyTorch's floating-point operations.

    These are all products of convolutions, linear layers and matrices, attention's included.
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

    Attention is taken apart into its products. On the ``meta`` device nothing is computed. With ``training`` the head
    emits what training reads, such as SRPose's other predictors; statistics stay fixed.
    """
    one = next(net.parameters())
    image = torch.zeros(1, net.channels, height, width, dtype=one.dtype, device=one.device)
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast_path)
        torch.backends.mha.set_fastpath_enabled(False)
        modes: list[AbstractContextManager[Any]] = [set_modes(net, False, training), sdpa_kernel(SDPBackend.MATH)]
        for context in (*modes, torch.inference_mode(False), torch.no_grad(), *watchers):
            stack.enter_context(context)
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


def activations(net: PoseNet, batch: int, height: int, width: int, training: bool = False, itemsize: int = 1) -> int:
    """Return the greatest number of bytes in tensors alive at once during a pass through the network in eager mode.

    Counted, not measured: the same on every machine. It is the images, of ``height`` and ``width`` px and 1 byte per
    value (``itemsize`` 4 for depths), what layers hand on, and in ``training`` what the backward pass needs and the
    gradients of all parameters. Beside it come the parameters, in training the optimiser's state (Adam: twice the
    parameters), the loss and its target, and what kernels take for themselves. Nothing is computed, and the network is
    left as it was. In training a batch norm that would have a single value per channel is a ValueError.
    """
    kind = torch.uint8 if itemsize == 1 else torch.float32
    device = next(net.parameters()).device
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    tensors = (*net.named_parameters(), *net.named_buffers())
    with set_modes(net, training, training), torch.inference_mode(False), torch.set_grad_enabled(training), mode:
        # Without gradients of an earlier pass, to which these would be added.
        own = {name: mode.from_tensor(t.detach()).requires_grad_(t.requires_grad) for name, t in tensors}
        with _Alive() as alive:
            image = torch.zeros(batch, net.channels, height, width, dtype=kind, device=device)
            out = functional_call(net, own, (image,))
            if training:
                # Stacks are a leaf to PyTorch's trees.
                outs = list(out) if isinstance(out, Stacks) else out
                torch.stack([t.sum() for t in tree_iter(outs) if isinstance(t, Tensor)]).sum().backward()
    return alive.peak


def allocated(net: PoseNet, batch: int, height: int, width: int) -> int:
    """Measure the bytes that a forward pass adds at its peak, kernels' own memory included, for a network on CUDA."""
    device = next(net.parameters()).device
    image = torch.zeros(batch, net.channels, height, width, dtype=torch.uint8)
    with torch.inference_mode():
        # The first pass loads and chooses kernels.
        net(image.to(device))
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        net(image.to(device))
        return torch.cuda.max_memory_allocated(device) - before


class _Alive(TorchDispatchMode):
    """Sums the storages of new tensors for as long as they live."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        # Views, and what is written in place, have the storage of another tensor.
        if not any(returned.alias_info for returned in func._schema.returns):
            for storage in (t.untyped_storage() for t in tree_iter(out) if isinstance(t, Tensor)):
                self._change(storage.nbytes())
                weakref.finalize(storage, self._change, -storage.nbytes())
        return out

    def _change(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)
