"""The bias of bottom-up predictions from perfect maps against the official code: from targets to positions."""

import bottom_up_numbers as numbers
import numpy as np
import pytest
import torch
from torch import Tensor

from reference.vectors import arrays

# Nothing else than what lies within this square about the joints matters: its corner and side, px of the 512.
X, Y, SIDE, WHOLE = 152, 104, 96, 512


def noise(stride: int, joints: int) -> Tensor:
    """The noise of the vectors where the square is, in the picture and in its mirror image: (2, joints, 1, h, w)."""
    bins, side, y = WHOLE // stride, SIDE // stride, Y // stride
    drawn = np.zeros((2, joints, 1, side, side), np.float32)
    # Later values are below the square.
    last = bins * bins + (y + side) * bins
    for i in range(joints):
        rows = np.random.default_rng(1000 + i).standard_normal(last).reshape(-1, bins)
        for view, left in enumerate((X, WHOLE - SIDE - X)):
            first = view * bins + y
            drawn[view, i, 0] = 1e-3 * rows[first : first + side, left // stride : left // stride + side]
    return torch.from_numpy(drawn)


@pytest.mark.parametrize("stride", [4, 2, 1])
def test_errors_are_those_of_the_official_code(stride):
    v = arrays("bu_bias_a")
    points, bins = torch.from_numpy(v["points"]), WHOLE // stride
    xy, x = points - torch.tensor([X, Y]), points[:, 0]
    # Labels that the code mirrors on the map are those that the data move by so many input px.
    mirror_px = 1 - stride
    assert ((x + mirror_px) / stride == bins - 1 - (511 - x) * bins / WHOLE).all()
    drawn = tuple(noise(stride, len(xy)))
    of_stride = [n for n, row in enumerate(v["rows"]) if row[0] == bins]
    assert len(of_stride) == 8
    for n in of_stride:
        _, sigma, exact, flip, sd = v["rows"][n]
        theirs = {key[4:]: torch.from_numpy(v[key]) for key in v if key.startswith(f"r{n:02}_")}
        quantise = "none" if exact else "floor"
        codec = numbers.codec_of(f"{SIDE}x{SIDE}", stride, quantise, **numbers.PUBLISHED)
        assert codec.stages[0].sigma == sigma and sd in (0, 1e-3)
        maps = numbers.response(codec, xy, mirror_px, bool(flip), drawn if sd else (0, 0))
        error = numbers.positions(codec, maps, "published") - xy
        heat = codec.projected(maps).heat
        tied = heat >= heat.amax((-2, -1), keepdim=True) - 1e-6
        one = theirs["ties"] == 1
        assert torch.equal(tied.sum((1, 2, 3)), theirs["ties"]) and torch.equal(error[one], theirs["first_err"][one])
        if sd:
            assert one.sum() >= 127
            continue
        adjust = codec.readout("published")
        for i, (own, at) in enumerate(zip(heat, tied, strict=True)):
            errors = adjust.at(own[None], at[0].nonzero().flip(-1)[None, None])[0, 0].double() - xy[i]
            first, last, mean = (theirs[f"{rule}_err"][i] for rule in ("first", "last", "tiemean"))
            assert torch.equal(errors[-1], last)
            torch.testing.assert_close(errors.mean(0), mean, atol=1e-12, rtol=0)
            # Which of equal values is the highest is the rounding's choice once maps are resized.
            taken = (errors == error[i]).all(1)
            assert taken.any() and ((errors == first).all(1).any() if stride > 1 else torch.equal(error[i], first))
