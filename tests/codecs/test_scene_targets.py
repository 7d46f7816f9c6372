"""Targets of scenes against HigherHRNet, SRPose and mmpose, and against loops over people."""

import numpy as np
import pytest
import torch
from torch import Tensor

from poserep.codecs import scene_targets
from poserep.codecs.scene_targets import draw_people, nearest_person, sampled_mask, tag_positions
from poserep.geometry import ALIGNMENTS, Axis
from reference.associative_loops import people_maps
from reference.vectors import files, full, tensors


def people(*shape: int, spread: float = 1.3, size: tuple[int, int] = (40, 56), seed: int = 0) -> tuple[Tensor, Tensor]:
    """Joints (B, P, K) on the map, beyond it, on top of each other and on ties; three in four are kept."""
    generator = torch.Generator().manual_seed(seed)
    centre = ((torch.rand(*shape, 2, generator=generator) - 0.5) * spread + 0.5) * torch.tensor(size[::-1])
    kept = torch.rand(*shape, generator=generator) < 0.75
    centre[:, 1] = centre[:, 0] + torch.randn(centre[:, 0].shape, generator=generator)
    centre[0, 2:4] = (centre[0, 2:4] * 2).round() / 2
    kept[-1, :, 0] = False
    return centre, kept


def official(v: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Joints (1, P, K, 2) in bins, their bins by ``int``, and which are on the map and seen."""
    joints = v[f"{name}_joints"][None]
    bins, side = joints[..., :2].trunc(), v[f"{name}_hm"].shape[-1]
    return joints[..., :2], bins, (joints[..., 2] > 0) & ((bins >= 0) & (bins < side)).all(-1)


def higher_names(v: dict[str, Tensor]) -> list[str]:
    """Cases of a file, but those of a fractional sigma, whose official patch is half a bin off its joint."""
    names = [key.removesuffix("_joints") for key in v if key.endswith("_joints")]
    return [name for name in names if float(v[f"{name}_sigma"]) in (-1, 1, 2)]


def packed(position: Tensor, kept: Tensor, side: int) -> list[list[int]]:
    """Indices of an image's tags, over the maps of all joints, of those people who have any."""
    index = position[0] + torch.arange(position.shape[2]) * side**2
    return [row[which].tolist() for row, which in zip(index, kept[0], strict=True) if which.any()]


def official_rows(rows: Tensor) -> list[list[int]]:
    """The same of official rows (30, K, 2), which are packed from the top, and in them the joints from the left."""
    return [row[row[:, 1] > 0, 0].long().tolist() for row in rows if row[:, 1].any()]


@pytest.mark.parametrize("file", files("enc_bottomup"))
def test_targets_and_tags_are_higherhrnets_and_srposes(file):
    v = tensors(file)
    for name in higher_names(v):
        centre, bins, kept = official(v, name)
        side = v[f"{name}_hm"].shape[-1]
        sigma = float(v[f"{name}_sigma"])
        sigma = side / 64 if sigma < 0 else sigma
        radius = int(3 * sigma + 1)
        torch.testing.assert_close(
            draw_people(bins, kept, (side, side), sigma, radius)[0], v[f"{name}_hm"], atol=1e-6, rtol=0
        )
        if f"{name}_udp" in v:
            ours = draw_people(centre, kept, (side, side), sigma, radius, middle=bins)[0]
            torch.testing.assert_close(ours, v[f"{name}_udp"], atol=1e-6, rtol=0)
        index = tag_positions(centre, kept, (side, side), floor=True)
        assert packed(index, kept, side) == official_rows(v[f"{name}_jidx"])


@pytest.mark.parametrize("file", files("enc_mm_ae"))
@pytest.mark.parametrize("name", ["std", "udp"])
def test_targets_and_tags_are_mmposes(file, name):
    v = tensors(file)
    size, sigma = (64, 64), float(v[f"{name}_sigma"])
    centre = v[f"{name}_kpts"][None] / torch.tensor(255 / 63 if name == "udp" else 4.0)
    bins, seen, radius = (centre + 0.5).trunc(), v[f"{name}_vis"][None] > 0, int(3 * sigma)
    # Joints beyond the map are drawn, but have no tag.
    kept = seen & ((bins >= 0) & (bins < 64)).all(-1)
    ours = draw_people(centre if name == "udp" else bins, seen, size, sigma, radius, middle=bins)[0]
    torch.testing.assert_close(ours, v[f"{name}_hm"], atol=1e-6, rtol=0)
    index = v[f"{name}_idx"]
    assert torch.equal(kept[0], index[..., 1] > 0)
    assert torch.equal(tag_positions(centre, kept, size, floor=False)[0][kept[0]], index[..., 0][kept[0]])


@pytest.mark.parametrize("file", full("bu_geometry_?"))
def test_targets_and_tags_of_warped_scenes_are_srposes(file):
    v = tensors(file)
    for i in range(int(v["n_scenes"])):
        # Full resolution takes a second for four.
        for size, sigmas in (
            (512, {128: 2, 256: 2, 512: 8} if i % 4 == 3 else {128: 2}),
            (128, {32: 1, 64: 1, 128: 2}),
        ):
            scene = f"s{i:02d}"
            for side, sigma in sigmas.items():
                joints, name = v[f"{scene}_i{size}_sr_joints_{side}"][None], f"{scene}_i{size}_sr"
                bins = joints[..., :2].trunc()
                kept = (joints[..., 2] > 0) & ((bins >= 0) & (bins < side)).all(-1)
                maps = draw_people(bins, kept, (side, side), sigma, 3 * sigma + 1)[0]
                x = torch.arange(side, dtype=torch.float64)
                rows, columns = (maps.sum(axis, dtype=torch.float64) for axis in (2, 1))
                squares = maps.square().sum((1, 2), dtype=torch.float64)
                sums = [rows.sum(1), squares, columns @ x, rows @ x]
                torch.testing.assert_close(torch.stack(sums, 1), v[f"{name}_target_{side}"], rtol=1e-6, atol=1e-6)
                assert packed(tag_positions(bins, kept, (side, side), floor=True), kept, side) == official_rows(
                    v[f"{name}_tagidx_{side}"]
                )


@pytest.mark.parametrize("size", [(40, 56), (9, 7)])
@pytest.mark.parametrize(("sigma", "radius"), [(1.0, 3), (2.0, 7), (1.5, 0), (3.0, 10**6)])
def test_people_are_drawn_as_loops_draw_them(size, sigma, radius, monkeypatch):
    centre, kept = people(3, 5, 4, size=size)
    far = centre.clone()
    far[~kept] = torch.inf
    wanted = torch.from_numpy(people_maps(centre.double().numpy(), kept.numpy(), size, sigma, radius))
    maps = draw_people(far, kept, size, sigma, radius)
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps, wanted, atol=1e-6, rtol=0)
    monkeypatch.setattr(scene_targets, "_BINS", 1)
    assert torch.equal(draw_people(centre, kept, size, sigma, radius), maps), "drawn in other parts"
    order = torch.randperm(5)
    assert torch.equal(draw_people(centre[:, order], kept[:, order], size, sigma, radius), maps)


def test_maps_without_people_are_empty_and_a_person_beyond_the_map_shows_its_tail_alone():
    centre, kept = torch.tensor([[[[-2.0, 3.0]]], [[[-40.0, 3.0]]]]), torch.ones(2, 1, 1, dtype=torch.bool)
    maps = draw_people(centre, kept, (6, 8), 2.0, 7)
    assert maps[0, 0, 3, 0].item() == pytest.approx(np.exp(-0.5)) and not maps[1].any()
    assert not draw_people(centre, ~kept, (6, 8), 2.0, 7).any()
    assert draw_people(centre[:, :0], kept[:, :0], (6, 8), 2.0, 7).shape == (2, 1, 6, 8)


def test_tags_are_read_in_the_nearest_bin_or_the_one_below_and_always_on_the_map():
    centre = torch.tensor([[-0.5, 1.5], [2.5, 0.7], [7.4, 9.0], [torch.inf, torch.nan]])[None, None]
    kept = torch.tensor([True, True, True, False])[None, None]
    assert tag_positions(centre, kept, (6, 8), floor=True).tolist() == [[[8, 2, 47, 0]]]
    assert tag_positions(centre, kept, (6, 8), floor=False).tolist() == [[[16, 11, 47, 0]]]


def test_each_bin_belongs_to_the_person_whose_joint_is_nearest():
    size = (9, 12)
    centre, kept = people(3, 5, 4, size=size)
    ours = nearest_person(centre, kept, size)
    assert ours.shape == (3, 4, *size) and not ours[-1, 0].any()
    for b, k, y, x in np.ndindex(ours.shape):
        squares = (centre[b, :, k] - torch.tensor([x, y])).square().sum(-1)
        squares[~kept[b, :, k]] = torch.inf
        assert ours[b, k, y, x] == squares.argmin()
    # Seen from its own bin, everybody is the nearest but those who are in another's.
    centre, kept = torch.tensor([[3.0, 4.0], [3.0, 4.0], [8.0, 2.0]])[None, :, None], torch.ones(1, 3, 1, dtype=bool)
    maps = nearest_person(centre, kept, size).flatten(2)
    assert maps[0, 0, tag_positions(centre, kept, size, floor=True).flatten()].tolist() == [0, 0, 2]


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_masks_are_read_at_the_px_nearest_to_each_bin(align):
    mask = torch.rand(2, 24, 32, generator=torch.Generator().manual_seed(0)) < 0.5
    for stride in (1, 2, 4):
        x, y = (Axis(n, n // stride, align, (32 // stride - 1) / 31) for n in (32, 24))
        sampled = sampled_mask(mask, x, y)
        assert sampled.shape == (2, 24 // stride, 32 // stride)
        for row, column in np.ndindex(sampled.shape[1:]):
            px = [min(max(round(axis.to_px(i)), 0), axis.length - 1) for axis, i in ((y, row), (x, column))]
            assert torch.equal(sampled[:, row, column], mask[:, px[0], px[1]])
        if stride == 1 or align == "corner":
            assert torch.equal(sampled, mask[:, ::stride, ::stride])
