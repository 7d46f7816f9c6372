"""Losses of associative embedding (Newell et al. 2017): masked heatmaps, and tags that tell people apart.

Both compute in float32 at least, whatever the type of the network's output.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from poserep.errors import InputError, check_choice, check_positive

Margin = Literal["exp", "hinge"]


@dataclass(frozen=True)
class MaskedMSE:
    """Mean squared error of maps where they may be learnt, factor * mean(mask (p - t)^2).

    The mean is over all bins, masked ones too, joints and images, as in the code of HigherHRNet and SRPose.
    """

    factor: float = 1.0

    def __post_init__(self) -> None:
        check_positive("MaskedMSE: factor", self.factor)

    def __call__(self, out: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Compute a scalar from maps and targets (B, K, h, w) and what may be learnt, (B, h, w) bool."""
        out = _precise(out)
        # Where nothing is to be learnt, the output is its own target: to mask errors would take twice the memory.
        return self.factor * F.mse_loss(out, torch.where(mask[:, None], target.to(out.dtype), out.detach()))


@dataclass(frozen=True)
class TagLoss:
    """Pulls the tags of a person's joints together and pushes people apart (Newell et al. 2017, section 3.2).

    Of an image with N people who have joints, t_nk the tags of the K_n joints that person n has, m_n their mean:

    - pull: 1/N sum_n 1/K_n sum_k (t_nk - m_n)^2; 0 without people;
    - push: 1/(2 N (N - 1)) sum over pairs n != n' of exp(-(m_n - m_n')^2); 0 for fewer than two people.

    Tags of several numbers have the mean over them as pull, and the sum as push (mmpose).

    Attributes:
        pull: Factor of the pull, 1e-3 in the code of HigherHRNet and SRPose.
        push: Factor of the push, likewise.
        margin: ``exp`` as above, or ``hinge`` with max(0, 1 - |m_n - m_n'|), HigherHRNet's option ``max``.
        diagonal: Count each person as a pair with itself, and divide by N + 1e-6 and N (N - 1) + 1e-6, as mmpose 1.x
            does: another value, nearly the same gradient.
    """

    pull: float = 1e-3
    push: float = 1e-3
    margin: Margin = "exp"
    diagonal: bool = False

    def __post_init__(self) -> None:
        for name, factor in (("pull", self.pull), ("push", self.push)):
            if not 0 <= factor < float("inf"):
                raise InputError(f"TagLoss: {name}={factor} must be a number, 0 or greater")
        check_choice("TagLoss: margin", self.margin, get_args(Margin))

    def __call__(self, tags: Tensor, position: Tensor, kept: Tensor) -> Tensor:
        """Compute a scalar, pull plus push, each the mean over all images; takes what `per_image` takes."""
        return torch.stack(self.per_image(tags, position, kept)).mean(1).sum()

    def per_image(self, tags: Tensor, position: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Compute pull and push, their factors included.

        Args:
            tags: Maps (B, K, h, w), or (B, K, h, w, L) for tags of L numbers.
            position: Where people's joints lie, y w + x, (B, P, K) int64; valid for joints that are not kept too.
            kept: Which joints people have, (B, P, K) bool.

        Returns:
            pull and push, (B,) each.
        """
        tag = torch.where(kept[..., None], _at(tags if tags.ndim == 5 else tags[..., None], position), 0.0)
        count = kept.sum(2).clamp_min(1)[..., None]
        mean = tag.sum(2) / count
        spread = ((tag - mean[:, :, None]).square() * kept[..., None]).sum(2) / count
        person = kept.any(2)
        pair = person[:, :, None] & person[:, None, :]
        people = person.sum(1).to(tag.dtype)
        epsilon = 1e-6 if self.diagonal else 0.0
        if not self.diagonal:
            pair = pair & ~torch.eye(person.shape[1], dtype=torch.bool, device=pair.device)
        difference = mean[:, :, None] - mean[:, None, :]
        near = (-difference.square()).exp() if self.margin == "exp" else (1 - difference.abs()).relu()
        pull = spread.mean(2).sum(1) / (people.clamp_min(1) + epsilon)
        # One person alone has a pair in the published diagonal only, and is pushed nowhere there either.
        pairs = (people * (people - 1) + epsilon).where(people > 1, torch.inf)
        push = (near.sum(3) * pair).sum((1, 2)) / (2 * pairs)
        return self.pull * pull, self.push * push


def _at(tags: Tensor, position: Tensor) -> Tensor:
    """Read maps (B, K, h, w, L) at (B, P, K), the indices of bins; returns (B, P, K, L)."""
    index = position.mT[..., None].expand(-1, -1, -1, tags.shape[-1])
    return _precise(tags.flatten(2, 3).gather(2, index)).transpose(1, 2)


def _precise(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
