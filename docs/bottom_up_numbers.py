"""The numbers of bottom-up.md and its picture: what codecs of whole images are off, measured with poserep's own."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from poserep.codecs import DARK, Adjust, AssociativeEmbedding, Heatmap, QuarterShift
from poserep.codecs.associative_embedding import SceneMaps

# As the published code does it, where ours does something else.
PUBLISHED = {"align": "corner", "score": "published", "bounds": "published", "flip_shift": 0}
READOUTS = {"adjust": Adjust(), "published": Adjust(offset=0.5), "shift": QuarterShift(), "dark": DARK(kernel=None)}


def codec_of(size: str, stride: int, quantise: Any = "none", **options: Any) -> AssociativeEmbedding:
    """Return a codec of one stage with the published sigmas and windows: 2 bins, and 8 at input size."""
    sigma = 8 if stride == 1 else 2
    maps = {"heatmap": partial(Heatmap, stride=stride, sigma=sigma, quantise=quantise, truncate=3 + 1 / sigma)}
    return AssociativeEmbedding(size, maps, readouts=READOUTS, **options)


def answer(codec: AssociativeEmbedding, xy: Tensor, mirror_px: float) -> Tensor:
    """Return the heatmaps (B, 1, h, w) that fit pictures best which show a joint at ``xy`` (B, 2), input px.

    In training half of such pictures are mirrored ones, whose labels lie ``mirror_px`` beside the joint.
    """
    weight, mask = torch.ones(len(xy), 1, 1), torch.ones(len(xy), *codec.size, dtype=torch.bool)
    labels = (xy, xy + torch.tensor([mirror_px, 0.0]))
    one, two = (codec.encode(at[:, None, None].float(), weight, mask)[0].maps[0] for at in labels)
    return (one + two) / 2


def response(
    codec: AssociativeEmbedding, xy: Tensor, mirror_px: float, flip_test: bool, noise: tuple[Any, Any] = (0, 0)
) -> SceneMaps:
    """Return what a network that answers so gives in a test, with noise on the answers to picture and mirror image."""
    other = xy.clone()
    other[:, 0] = codec.size.width - 1 - xy[:, 0] + codec.mirror_px
    views = zip((xy, other), noise, strict=True)
    heats = [answer(codec, at, mirror_px) + added for at, added in views]
    out, mirrored = (torch.cat([heat, torch.zeros_like(heat)], 1) for heat in heats)
    return codec.merge(out, mirrored, torch.tensor([0])) if flip_test else codec.maps_of(out)


def positions(codec: AssociativeEmbedding, maps: SceneMaps, readout: str) -> Tensor:
    """Return where the best person of each image has the joint, (B, 2) input px."""
    people = codec.decode(maps, readout)
    # Of one joint everybody is a maximum, the highest of an image first.
    return people.xy[torch.searchsorted(people.row, torch.arange(len(maps.heat))), 0]
