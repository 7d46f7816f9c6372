"""Ways to run a network: each takes network, images and CPU threads, and returns a function that runs it on them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from poserep.errors import InputError


def eager(net: nn.Module, image: Tensor, threads: int) -> Callable[[], Any]:
    """Run in PyTorch's eager mode."""
    return lambda: net(image)


def compiled(net: nn.Module, image: Tensor, threads: int) -> Callable[[], Any]:
    """Run through ``torch.compile``; every batch size and number of threads gets code of its own."""
    function = torch.compile(net, dynamic=False)
    return lambda: function(image)


def onnx(net: nn.Module, image: Tensor, threads: int) -> Callable[[], Any]:
    """Run in ONNX Runtime, with its own optimisations of the graph.

    Raises:
        InputError: If ONNX Runtime is not installed, or is not made for the device.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"{error.name} is not installed; pip install onnx onnxruntime onnxscript") from error
    provider = "CUDAExecutionProvider" if image.is_cuda else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise InputError(f"this onnxruntime has no {provider}; pip install onnxruntime-gpu in its place")
    with torch.inference_mode(False), torch.no_grad():
        # Tensors made in inference mode cannot be traced.
        example = image.clone()
        leaves, structure = tree_flatten(net(example))
        program = torch.onnx.export(net, (example,), dynamo=True, verbose=False)
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Errors alone: its warnings are about its own optimisations.
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), options, providers=[provider])
    feed = {session.get_inputs()[0].name: image.cpu().numpy()}

    def run() -> Any:
        arrays = iter(session.run(None, feed))
        outputs = [torch.from_numpy(next(arrays)).to(image.device) if isinstance(x, Tensor) else x for x in leaves]
        return tree_unflatten(outputs, structure)

    return run


WAYS: dict[str, Callable[[nn.Module, Tensor, int], Callable[[], Any]]] = {
    "eager": eager,
    "compiled": compiled,
    "onnx": onnx,
}
