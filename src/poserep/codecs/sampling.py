"""Sampling-argmax: integral regression that is trained on samples of the map, and not on its mean alone."""

from typing import Any

import torch
from torch import Tensor

from poserep.codecs.integral import Integral
from poserep.errors import InputError, check_positive
from poserep.geometry import Size

# Least of the exponentially distributed numbers whose logarithms are taken.
TINY = 1e-30


class SamplingArgmax(Integral):
    """Integral regression trained on the expected error under the map (Li et al. 2021, sampling-argmax).

    The mean of a map says nothing of its shape. So the loss is the mean criterion of ``samples`` positions drawn from
    it: a mixture of triangular densities that reach from each bin to its neighbours, weighted by the softmax of the
    logits. A sample is the mean of one position drawn from each bin's density under Gumbel-softmax weights,
    softmax((logits + Gumbel noise) / tau), and has a gradient; the lower tau, the nearer it is to
    one bin's position, and the greater the variance of gradients. Decoding is that of `Integral`.

    The paper's code anneals tau, divides the noise alone by it, weighs positions by interpolated values of
    the map again, and replaces their gradient by its sign; none of that is reproduced. Nothing exists to compare with.
    Random numbers are torch's, which training seeds by run, epoch, step and rank. Maps take ``samples`` times the
    memory of those of `Integral` while the loss is computed.

    Args:
        samples: Positions drawn from each map; 30 in the paper's code.
        tau: Temperature of the Gumbel-softmax.
        **options: See `Integral`; its bias cannot be taken out of samples.
    """

    def __init__(self, size: Size | str, samples: int = 30, tau: float = 1.0, **options: Any) -> None:
        super().__init__(size, **options)
        if not isinstance(samples, int) or samples < 1:
            raise InputError(f"SamplingArgmax: samples={samples} must be a whole number of at least 1")
        check_positive("SamplingArgmax: tau", tau)
        if self.position.debias != "none":
            raise InputError(f"SamplingArgmax: position.debias={self.position.debias!r} is for means; take Integral")
        self.samples, self.tau = samples, tau

    def distance(self, out: Tensor, centre: Tensor, weight: Tensor) -> Tensor:
        """Compute the mean criterion of positions drawn from the map."""
        drawn = self.draw(out).flatten(1, 2) / self.unit
        centre, weight = (given.repeat_interleave(self.samples, 1) for given in (centre / self.unit, weight))
        return self.criterion(drawn, centre, weight)

    def draw(self, out: Tensor) -> Tensor:
        """Draw positions (B, K, samples, 2), bins, from logits (B, K, h, w), with a gradient."""
        b, k, h, w = out.shape
        logits = (self.position.beta * out)[:, :, None]
        noise = torch.empty(b, k, self.samples, h, w, device=out.device, dtype=out.dtype).exponential_()
        weights = ((logits - noise.clamp_min(TINY).log()) / self.tau).flatten(3).softmax(-1).unflatten(-1, (h, w))
        along = []
        for n, sums in ((w, weights.sum(-2)), (h, weights.sum(-1))):
            # The sum of two uniform numbers has a triangular density.
            offset = torch.rand(2, *sums.shape, device=out.device, dtype=out.dtype).sum(0) - 1
            along.append((sums * (torch.arange(n, device=out.device) + offset)).sum(-1))
        return torch.stack(along, -1)
