"""Weight decay: which parameters it pulls toward zero."""

from collections.abc import Iterable
from typing import Any

from torch.nn import Parameter
from torch.optim import AdamW


def adamw(parameters: Iterable[Parameter], lr: float, weight_decay: float, **options: Any) -> AdamW:
    """Make an AdamW whose ``weight_decay`` acts on kernels and matrices, not on scales and biases (one dimension).

    So in RTMPose's code for biases and batch norms; there it acts on the few numbers of the head's scale norms and of
    its residual scale too. ``options`` are further ones of `torch.optim.AdamW`.
    """
    decayed, free = list[Parameter](), list[Parameter]()
    for p in parameters:
        (decayed if p.ndim > 1 else free).append(p)
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": free, "weight_decay": 0.0}]
    return AdamW([group for group in groups if group["params"]], lr=lr, weight_decay=weight_decay, **options)
