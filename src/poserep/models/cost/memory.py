"""Memory of a network's activations: counted for any device, measured on CUDA."""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from poserep.models.cost.counts import set_modes
from poserep.models.heads.base import Stacks
from poserep.models.model import PoseNet


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
