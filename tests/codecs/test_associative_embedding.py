"""The codec of whole images: perfect maps give the people back, and what may not be learnt changes nothing."""

from functools import partial

import pytest
import torch
from torch import Tensor

from poserep.codecs import (
    DARK,
    Adjust,
    AssociativeEmbedding,
    CentreOfMass,
    Heatmap,
    QuarterShift,
    SRHeatmap,
    WithoutFlip,
)
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models import Stacks

EXACT = {"quantise": "none", "truncate": 3.5}
MAPS = {
    "stride 4": {"heatmap": partial(Heatmap, stride=4, sigma=2, **EXACT)},
    "stride 1": {"heatmap": partial(SRHeatmap, scale=1, base_sigma=2, quantise="none", truncate=3.125)},
    "two stages": {"coarse": partial(Heatmap, stride=4, **EXACT), "fine": partial(Heatmap, stride=2, **EXACT)},
}
SIZE, JOINTS = Size(128, 192), 6
PERM = torch.tensor([0, 2, 1, 4, 3, 5])
# Of its own bins, of the reading of `F.interpolate`, which averages stages of which one has other bins.
WITHIN = {"stride 4": 1e-3, "stride 1": 1e-3, "two stages": 0.4}


def people(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Labels of two images with three people who are apart, and room for a fourth."""
    torch.manual_seed(seed)
    xy = torch.rand(2, 4, JOINTS, 2) * torch.tensor([30.0, 100.0]) + torch.tensor([12.0, 14.0])
    xy[..., 0] += 60 * torch.arange(4)[None, :, None]
    weight = torch.ones(2, 4, JOINTS)
    weight[:, 3], weight[0, 1, 2] = 0, 0
    return xy, weight, torch.ones(2, *SIZE, dtype=torch.bool)


def nearest(found, xy: Tensor, weight: Tensor) -> float:
    """The greatest distance of a labelled joint from that of its person, who is the one that is nearest."""
    worst = 0.0
    for row, person in zip(found.row.tolist(), found.xy, strict=True):
        distance = (person - xy[row]).norm(dim=-1) * weight[row]
        worst = max(worst, float(distance.amax(-1)[weight[row].any(-1)].min()))
    return worst


@pytest.mark.parametrize("align", ["centre", "corner", "edge"])
@pytest.mark.parametrize("maps", MAPS)
def test_perfect_maps_give_everybody_back_with_a_score_of_one(maps, align):
    readouts = {"dark": DARK(kernel=None), "alone": WithoutFlip(DARK(kernel=None))}
    codec = AssociativeEmbedding(SIZE, MAPS[maps], align=align, readouts=readouts)
    xy, weight, mask = people()
    target, kept = codec.encode(xy, weight, mask)
    assert torch.equal(kept, weight)
    out = codec.oracle(target)
    assert codec.loss(out, target, kept) < 1e-9
    found = codec.decode(out)
    assert found.row.tolist() == [0, 0, 0, 1, 1, 1] and nearest(found, xy, weight) < WITHIN[maps]
    assert (found.score <= 1).all() and found.score[found.score > 0].min() > 0.999
    scores = torch.sort(found.person_score[:3]).values
    torch.testing.assert_close(scores, torch.tensor([(JOINTS - 1) / JOINTS, 1, 1]), atol=1e-3, rtol=0)

    # A flip test of an equivariant network changes nothing, and keeps the tags of both images.
    mirrored = torch.stack([SIZE.width - 1 - xy[..., 0] + codec.mirror_px, xy[..., 1]], -1)[:, :, PERM]
    other = codec.oracle(codec.encode(mirrored, weight[:, :, PERM], mask)[0])
    merged = codec.merge(out, other, PERM)
    assert merged.tags.shape[-1] == 2
    both = codec.decode(merged)
    assert len(both.row) == 6 and nearest(both, xy, weight) < WITHIN[maps]
    # Whatever the mirrored image's output, a readout without it reads what it reads of a single output.
    wrong = codec.aggregate([codec.merge(out, codec.oracle(codec.encode(xy / 2, weight, mask)[0]), PERM)] * 2)
    for ours, theirs in zip(codec.decode(wrong, "alone"), codec.decode(codec.aggregate([out, out])), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert codec.uses_flip_test("dark") and not codec.uses_flip_test("alone")


def test_images_of_any_size_are_decoded_with_the_same_bins():
    small, large = (AssociativeEmbedding(size, MAPS["stride 4"], align="edge") for size in ("64x64", SIZE))
    xy, weight, mask = people()
    out = large.oracle(large.encode(xy, weight, mask)[0])
    for ours, theirs in zip(small.decode(out), large.decode(out), strict=True):
        torch.testing.assert_close(ours, theirs)
    projected = AssociativeEmbedding("64x64", MAPS["stride 4"], project=True, readouts={"shift": QuarterShift()})
    maps = projected.projected(projected.maps_of(out))
    assert maps.heat.shape[-2:] == SIZE and maps.tags.shape == (2, JOINTS, *SIZE, 1)


def test_what_may_not_be_learnt_changes_neither_loss_nor_gradient():
    codec = AssociativeEmbedding(SIZE, MAPS["two stages"])
    xy, weight, mask = people()
    mask[0, 64:] = False
    target, kept = codec.encode(xy, weight, mask)
    torch.manual_seed(1)
    out = tuple(
        torch.randn(2, n, *maps.shape[-2:], requires_grad=True) for n, maps in zip((12, 6), target.maps, strict=True)
    )
    loss = codec.loss(out, target, kept)
    loss.backward()
    for stage, stride in zip(out, (4, 2), strict=True):
        assert not stage.grad[0, :JOINTS, 64 // stride :].any() and stage.grad[1, :JOINTS].all()
    # Joints of weight 0 may lie anywhere.
    wild = torch.where((weight > 0)[..., None], xy, torch.inf)
    again, _ = codec.encode(wild, weight, mask)
    assert codec.loss(out, again, kept) == loss
    # A mean over images, so that pieces of a batch add up.
    parts = [codec.encode(xy[i : i + 1], weight[i : i + 1], mask[i : i + 1]) for i in range(2)]
    each = [codec.loss(tuple(s[i : i + 1] for s in out), *part) for i, part in enumerate(parts)]
    torch.testing.assert_close(torch.stack(each).mean(), loss)
    assert not isinstance(out, Stacks)


def test_the_published_rule_learns_joints_a_bin_beside_the_first_ones_and_none_beyond_the_last():
    floor = {"heatmap": partial(Heatmap, stride=4, quantise="floor", truncate=3.5)}
    ours, theirs = (
        AssociativeEmbedding(SIZE, floor, align="corner", tag_bin="floor", bounds=bounds)
        for bounds in ("crop", "published")
    )
    x = torch.tensor([-4.5, -3.5, -0.4, 0.0, 191.4, 191.9, 192.1])
    xy = torch.stack([x, torch.full_like(x, 50)], -1)[None, None]
    labels = xy, torch.ones(1, 1, len(x)), torch.ones(1, *SIZE, dtype=torch.bool)
    assert ours.encode(*labels)[1].flatten().tolist() == [0, 0, 1, 1, 1, 0, 0]
    target, kept = theirs.encode(*labels)
    assert kept.flatten().tolist() == [0, 1, 1, 1, 1, 1, 0]
    assert (target.position % 48)[0, 0, 1:6].tolist() == [0, 0, 0, 47, 47]


def test_what_does_not_go_together_is_refused():
    with pytest.raises(InputError, match=r"readout 'mass' .CentreOfMass. looks at a whole map"):
        AssociativeEmbedding(SIZE, MAPS["stride 4"], readouts={"mass": CentreOfMass()})
    with pytest.raises(InputError, match=r"maps=\{\} needs a codec"):
        AssociativeEmbedding(SIZE, {})
    with pytest.raises(InputError, match="tag_bin"):
        AssociativeEmbedding(SIZE, MAPS["stride 4"], tag_bin="ceil")
    with pytest.raises(InputError, match="reads images at one scale, not at 2"):
        Heatmap(SIZE).aggregate([0, 0])
    assert AssociativeEmbedding(SIZE, MAPS["stride 4"], readouts={"adjust": Adjust()}).options()["project"] is False
