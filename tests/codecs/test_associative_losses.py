"""Losses of associative embedding against HigherHRNet, SRPose and mmpose, loops over people, and finite differences."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional as F

from poserep.codecs.associative_losses import MaskedMSE, TagLoss
from poserep.codecs.scene_targets import draw_people, tag_positions
from poserep.errors import InputError
from reference.associative_loops import masked_error, pull_and_push
from reference.vectors import files, full, tensors

ONE = TagLoss(pull=1, push=1)
MARGINS = {"exp": "exp", "max": "hinge"}


def close(ours: Tensor, theirs: Tensor, atol: float = 0.0) -> None:
    """Compare to 1e-6 of the value in float32, in which official values may be stored too, and to 1e-9 in float64."""
    precise = ours.dtype == theirs.dtype == torch.float64
    torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-9 if precise else 1e-6, atol=atol)


def scene(images: int, people: int, joints: int, seed: int = 0, side: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Tags on square maps, positions and kept joints: of nobody, of one, of two of whom one has no joint, of more."""
    generator, shape = torch.Generator().manual_seed(seed), (images, people, joints)
    tags = torch.randn(images, joints, side, side, generator=generator, dtype=torch.float64)
    position = torch.randint(0, side**2, shape, generator=generator)
    kept = torch.rand(shape, generator=generator) < 0.7
    kept[0], kept[1, 1:], kept[2, 2:], kept[2, 0] = False, False, False, False
    return tags, position, kept


def step(loss: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    return loss.detach(), *torch.autograd.grad(loss, leaves)


def placed(rows: Tensor, joints: int, side: int) -> tuple[Tensor, Tensor]:
    """Official tag indices (B, 30, K, 2) over the maps of all joints, in place: positions and kept, (B, P, K)."""
    position = torch.zeros(*rows.shape[:2], joints, dtype=torch.int64)
    kept = torch.zeros(position.shape, dtype=torch.bool)
    b, p, slot = rows[..., 1].nonzero(as_tuple=True)
    flat = rows[b, p, slot, 0].long()
    position[b, p, flat // side**2], kept[b, p, flat // side**2] = flat % side**2, True
    return position, kept


@pytest.mark.parametrize("file", files("loss_ae"))
@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_pull_and_push_are_higherhrnets_and_srposes(file, margin, dtype):
    v, width = tensors(file), str(dtype)[-2:]
    position, kept = v["mm_indices"].unbind(-1)
    for code in ("higher", "srpose"):
        if f"{code}_{margin}_pull_f{width}" not in v:  # the copy has one of two that are equal
            continue
        tags = v["tags"].view(7, 17, 12, 10).to(dtype).requires_grad_()
        terms = TagLoss(1, 1, MARGINS[margin]).per_image(tags, position, kept > 0)
        for name, ours in zip(("pull", "push"), terms, strict=True):
            close(ours.detach(), v[f"{code}_{margin}_{name}_f{width}"])
            if (gradient := f"{code}_{margin}_{name}_grad_f{width}") in v:
                (found,) = torch.autograd.grad(ours.sum(), tags, retain_graph=True)
                close(found.view(7, -1, 1), v[gradient], atol=1e-7 if width == "32" else 1e-15)


@pytest.mark.parametrize("file", files("loss_ae"))
def test_with_the_diagonal_pull_and_push_are_mmposes(file):
    v = tensors(file)
    position, kept = v["mm_indices"][..., 0], v["mm_indices"][..., 1] > 0
    tags = v["tags"].view(7, 17, 12, 10).double().requires_grad_()
    for name, factor in (("default", 1.0), ("w001", 1e-3)):
        # Official factors: 0.5 of the push, which is ours anyway, and the loss weight; images are added up there.
        pull, push = TagLoss(factor, factor, diagonal=True).per_image(tags, position, kept)
        close(torch.stack([pull, 2 * push], 1).detach(), factor * v["mm_per_image_pull_push"])
        close(pull.sum().detach(), v[f"mm_{name}_pull"])
        close(push.sum().detach(), v[f"mm_{name}_push"])
        close(*torch.autograd.grad((pull + push).sum(), tags), v[f"mm_{name}_grad"], atol=1e-15)
    # Tags of two numbers: maps of the first come before those of the second.
    tags, gradient = (v[f"mm_L2_{name}"].double().view(2, 2, 17, 12, 10).movedim(1, -1) for name in ("tags", "grad"))
    pull, push = TagLoss(1, 1, diagonal=True).per_image(tags.requires_grad_(), position[3:5], kept[3:5])
    close(pull.sum().detach(), v["mm_L2_pull"])
    close(push.sum().detach(), v["mm_L2_push"])
    close(*torch.autograd.grad((pull + push).sum(), tags), gradient, atol=1e-15)


@pytest.mark.parametrize("file", files("loss_ae"))
def test_masked_error_is_higherhrnets(file):
    v = tensors(file)
    for dtype in (torch.float64, torch.float32):
        out = v["hm_pred"].to(dtype).requires_grad_()
        each = [MaskedMSE()(out[i : i + 1], v["hm_gt"][i : i + 1], v["hm_mask"][i : i + 1] > 0) for i in range(4)]
        close(torch.stack(each).detach(), v["hm_val"])
        close(*torch.autograd.grad(sum(each), out), v["hm_grad"], atol=1e-10)


def check_terms(v: dict[str, Tensor], prefix: str, width: str, *terms: Tensor) -> None:
    for name, ours in zip(("heatmap_loss", "push_loss", "pull_loss"), terms, strict=True):
        close(ours.detach(), v[f"{prefix}{name}_{width}"])
    close(sum(terms).detach(), v[f"{prefix}total_{width}"])


@pytest.mark.parametrize("file", full("bu_loss_srpose_?"))
def test_losses_of_the_simple_head_are_srposes(file):
    v = tensors(file)
    side = int(v["simple_joints_size"])
    position, kept = placed(v[f"simple_tagidx_{side}"], 17, side)
    mask, target = v[f"simple_mask_{side}"] > 0, v[f"simple_target_{side}"]
    push, pull, heatmap = v["fac"].tolist()
    cases: list[tuple[str, Any, Any]] = [
        ("simple_", MaskedMSE(), TagLoss()),
        ("simple_fac_", MaskedMSE(heatmap), TagLoss(pull, push)),
    ]
    for prefix, error, tag_loss in cases:
        for dtype, width in ((torch.float32, "f32"), (torch.float64, "f64")):
            out = v["simple_out"].to(dtype).requires_grad_()
            maps, tags = out.split(17, 1)
            pulled, pushed = tag_loss.per_image(tags, position, kept)
            heat = error(maps, target, mask)
            check_terms(v, prefix, width, heat, pushed.mean(), pulled.mean())
            if prefix == "simple_":
                loss, gradient = step(heat + tag_loss(tags, position, kept), out)
                close(loss, v[f"simple_total_{width}"])
                close(gradient, v["simple_grad"], atol=1e-6 * v["simple_grad"].abs().max().item())
                each = [error(maps[i : i + 1], target[i : i + 1], mask[i : i + 1]).detach() for i in range(4)]
                close(torch.stack([torch.stack(each), pushed, pulled], 1).detach(), v["simple_per_image"])
            else:
                (gradient,) = torch.autograd.grad(tag_loss(tags, position, kept), tags)
                wanted = v["simple_fac_grad_tag"]
                close(gradient, wanted, atol=1e-6 * wanted.abs().max().item())


@pytest.mark.parametrize("file", full("bu_loss_srpose_?"))
def test_losses_of_the_sr_head_are_srposes_where_bins_share_tags(file):
    v = tensors(file)
    side = int(v["sr_joints_size"])
    position, kept = placed(v[f"sr_tagidx_{side}"], 17, side)
    mask, target = v[f"sr_mask_{side}"] > 0, v[f"sr_target_{side}"]
    for dtype, width in ((torch.float32, "f32"), (torch.float64, "f64")):
        heat_conv, tag_conv = (v[f"sr_{name}_conv"].to(dtype).requires_grad_() for name in ("heat", "tag"))
        maps, tags = F.pixel_shuffle(heat_conv, 4), F.interpolate(tag_conv, scale_factor=4, mode="nearest")
        pull, push = TagLoss().per_image(tags, position, kept)
        heat = MaskedMSE()(maps, target, mask)
        check_terms(v, "sr_", width, heat, push.mean(), pull.mean())
        found = torch.autograd.grad(heat + pull.mean() + push.mean(), (heat_conv, tag_conv))
        for gradient, name in zip(found, ("heat", "tag"), strict=True):
            wanted = v[f"sr_grad_{name}_conv"]
            close(gradient, wanted, atol=1e-6 * wanted.abs().max().item())


@pytest.mark.parametrize("file", full("bu_loss_srpose_?"))
def test_losses_at_full_resolution_are_srposes(file):
    v = tensors(file)
    side, sigma = int(v["big_size"]), int(v["big_sigma"])
    joints = v["big_joints"]
    bins = joints[..., :2].trunc()
    kept = (joints[..., 2] > 0) & ((bins >= 0) & (bins < side)).all(-1)
    kept &= (torch.arange(joints.shape[1]) < v["big_people"][:, None])[..., None]
    target = draw_people(bins, kept, (side, side), sigma, 3 * sigma + 1)
    close(target.sum((2, 3), dtype=torch.float64), v["big_target_sum"].float(), atol=1e-6)
    position = tag_positions(bins, kept, (side, side), floor=True)
    rows, seen = placed(v["big_tagidx"], 17, side)
    # Rows are packed: people without a joint are left out there.
    for b in range(len(joints)):
        assert torch.equal(position[b][kept[b]], rows[b][seen[b]])
    mask = torch.ones(len(joints), side, side, dtype=torch.bool)
    for image, top, bottom, left, right in v["big_mask_boxes"].tolist():
        mask[image, top:bottom, left:right] = False
    noise = np.random.default_rng(int(v["big_seed"])).standard_normal((2, 34, side, side), np.float32)
    out = torch.from_numpy(noise * np.float32(0.3)).requires_grad_()
    maps, tags = out.split(17, 1)
    pull, push = TagLoss().per_image(tags, position, kept)
    heat = MaskedMSE()(maps, target, mask)
    for name, ours in (("heatmap", heat), ("push", push.mean()), ("pull", pull.mean())):
        close(ours.detach(), v[f"big_{name}_loss"])
    loss, gradient = step(heat + pull.mean() + push.mean(), out)
    close(loss, v["big_total"])
    heat_gradient, tag_gradient = gradient.split(17, 1)
    for part, check in ((heat_gradient, v["big_grad_heat_check"]), (tag_gradient, v["big_grad_tag_check"])):
        _, squares, highest, nonzero = check
        assert part.count_nonzero() == nonzero
        close(part.abs().max(), highest)
        close(part.double().square().sum(), squares.float())
    close(gradient.flatten()[v["big_pos"]], v["big_grad_at_pos"], atol=1e-13)
    close(tag_gradient.flatten()[v["big_grad_tag_pos"]], v["big_grad_tag_at"], atol=1e-11)


@pytest.mark.parametrize("file", full("bu_loss_higher_?"))
def test_losses_of_two_stages_are_higherhrnets(file):
    v = tensors(file)
    side = int(v["joints_size"])
    position, kept = placed(v[f"tagidx_{side}"], 17, side)
    for dtype, width in ((torch.float32, "f32"), (torch.float64, "f64")):
        first, second = (v[f"out_{i}"].to(dtype).requires_grad_() for i in (0, 1))
        maps, tags = first.split(17, 1)
        stages = ((maps, side), (second, 2 * side))
        pull, push = TagLoss().per_image(tags, position, kept)
        heat = [MaskedMSE()(out, v[f"target_{n}"], v[f"mask_{n}"] > 0) for out, n in stages]
        close(torch.stack(heat).detach(), v[f"heat_per_image_{width}"].double().mean(0).to(dtype))
        close(pull.detach(), v[f"pull_per_image_{width}"])
        close(push.detach(), v[f"push_per_image_{width}"])
        loss, *gradients = step(sum(heat) + TagLoss()(tags, position, kept), first, second)
        close(loss, v[f"total_{width}"])
        close(loss, v[f"srpose_total_{width}"])
        for gradient, wanted in zip(gradients, (v["grad_0"], v["grad_1"]), strict=True):
            close(gradient, wanted, atol=1e-6 * wanted.abs().max().item())


@pytest.mark.parametrize("margin", MARGINS.values())
def test_tag_loss_is_that_of_loops_over_people(margin):
    for seed in range(4):
        tags, position, kept = scene(5, 6, 4, seed=seed)
        tags.requires_grad_()
        ours, theirs = (
            TagLoss(2, 3, margin).per_image(tags, position, kept),
            pull_and_push(tags, position, kept, margin),
        )
        for fast, slow, factor in zip(ours, theirs, (2, 3), strict=True):
            close(fast, factor * slow)
            gradients = [torch.autograd.grad(each.sum(), tags, retain_graph=True)[0] for each in (fast, factor * slow)]
            close(*gradients, atol=1e-15)
        close(TagLoss(2, 3, margin)(tags, position, kept), sum(ours).mean())
        assert ours[0][0] == ours[1][0] == 0 and ours[1][1] == ours[1][2] == 0, "nobody, or nobody to push away"


@pytest.mark.parametrize("options", [{}, {"margin": "hinge"}, {"diagonal": True}])
def test_gradients_of_tags_are_those_of_finite_differences(options):
    tags, position, kept = scene(4, 4, 2, side=3)
    assert gradcheck(lambda tags: TagLoss(1, 1, **options)(tags, position, kept), tags.requires_grad_())
    pairs = torch.stack([tags, tags.flip(1)], -1).detach().requires_grad_()
    assert gradcheck(lambda tags: TagLoss(1, 1, **options)(tags, position, kept), pairs)


def test_tags_of_several_numbers_pull_by_the_mean_and_push_by_the_sum():
    tags, position, kept = scene(4, 5, 3)
    other = tags.roll(1, -1)
    pull, push = ONE.per_image(torch.stack([tags, other], -1), position, kept)
    both = [ONE.per_image(each, position, kept) for each in (tags, other)]
    close(pull, (both[0][0] + both[1][0]) / 2)
    close(push, both[0][1] + both[1][1])


def test_joints_that_are_not_kept_change_nothing_whatever_lies_there():
    tags, position, kept = scene(4, 5, 3)
    before = ONE(tags, position, kept)
    assert ONE(tags, torch.where(kept, position, 0), kept) == before
    position[~kept], tags[..., -1, -1] = 24, torch.inf
    kept &= position != 24
    assert torch.isfinite(ONE(tags, position, kept))


def test_equal_tags_pull_nothing_and_push_as_far_as_they_go():
    position, kept = torch.zeros(1, 3, 2, dtype=torch.int64), torch.ones(1, 3, 2, dtype=torch.bool)
    for margin in MARGINS.values():
        tags = torch.full((1, 2, 4, 4), 7.0, requires_grad=True)
        pull, push = TagLoss(1, 1, margin).per_image(tags, position, kept)
        assert pull.item() == 0 and push.item() == 0.5
        (gradient,) = torch.autograd.grad(pull.sum() + push.sum(), tags)
        assert not gradient.any()


def test_masked_error_is_that_of_loops_and_masked_bins_count_in_the_mean_alone():
    generator = torch.Generator().manual_seed(0)
    out, target = (torch.randn(3, 4, 6, 5, dtype=torch.float64, generator=generator) for _ in range(2))
    mask = torch.rand(3, 6, 5, generator=generator) < 0.6
    mask[0] = False
    out.requires_grad_()
    fast, gradient = step(MaskedMSE(0.5)(out, target, mask), out)
    slow, wanted = step(0.5 * masked_error(out, target, mask), out)
    close(fast, slow)
    close(gradient, wanted)
    assert not gradient[~mask[:, None].expand_as(gradient)].any() and gradient[1:].any()
    assert gradcheck(lambda out: MaskedMSE()(out, target, mask), out)


def test_half_precision_is_computed_in_float32_under_autocast_too():
    tags, position, kept = scene(4, 5, 3)
    half = (20 * tags).bfloat16()
    target, mask = torch.zeros(4, 3, 5, 5), torch.ones(4, 5, 5, dtype=torch.bool)
    for loss in (lambda t: ONE(t, position, kept), lambda t: MaskedMSE()(t, target, mask)):
        wanted = loss(half.float())
        with torch.autocast("cpu", torch.bfloat16):
            found = [loss(half), loss(half.float())]
        assert wanted.dtype == torch.float32 and all(torch.equal(each, wanted) for each in [*found, loss(half)])


def test_what_cannot_be_a_loss_is_refused():
    for make, words in (
        (lambda: TagLoss(pull=-1), "pull=-1 must be a number, 0 or greater"),
        (lambda: TagLoss(push=float("nan")), "push=nan"),
        (lambda: TagLoss(margin="max"), "margin='max' is not one of"),
        (lambda: MaskedMSE(0), "MaskedMSE: factor=0 must be a positive number"),
    ):
        with pytest.raises(InputError, match=words):
            make()
