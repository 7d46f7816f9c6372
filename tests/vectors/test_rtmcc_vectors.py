"""RTMPose's labels, losses and flip test against mmpose 1.x; its networks stand in models/test_rtmpose.py."""

import numpy as np
import pytest
import torch
from torch import Tensor

from poserep.codecs import SimCC, Softened, UnitGaussian
from poserep.codecs.label_smoothing import soften
from poserep.codecs.losses import KL, MLECC
from reference.vectors import close, files, full, tensors

SETTINGS = {"rtm192": ("256x192", (4.9, 5.66)), "rtm288": ("384x288", (6, 6.93))}
# What mmpose's code does otherwise than the exact algorithm.
PUBLISHED = {"align": "corner", "bounds": "published", "score": "published", "flip_shift": 0, "merge_on": "logits"}
# KLDiscretLoss: beta, label_beta (None: labels as they are), joints whose weight a mask reduces to 0.3.
DIVERGENCES = {
    "kl_rtm": (10, 10, ()), "kl_b1": (1, None, ()), "kl_lb1": (10, 1, ()), "kl_now": (10, 10, ()),
    "kl_mask": (10, 10, (0, 2)),
}  # fmt: skip
# MLECCLoss by mode, and the official factor.
LIKELIHOODS = {"log_mean_raw": 1, "log_mean_norm": 1, "linear_raw": 1, "square_raw": 0.01}


@pytest.mark.parametrize("file", files("mm_rtmcc_encode"))
@pytest.mark.parametrize("tag", SETTINGS)
def test_labels_weights_and_points_are_mmposes(file, tag):
    v, (size, sigma) = tensors(file), SETTINGS[tag]
    x, y, w, xy, vis = (v[f"{tag}_{key}"] for key in ("x", "y", "w", "kpts", "vis"))
    codec = SimCC(size, label=UnitGaussian(sigma, rounded=True), **PUBLISHED)
    (ours_x, ours_y), weight = codec.encode(xy, vis)
    # Below a visibility of 0.5 mmpose draws nothing but keeps the weight.
    labelled = vis >= 0.5
    assert labelled.any() and torch.equal(weight[labelled], w[labelled]) and (w[labelled] == 0).any()
    for ours, theirs in ((ours_x, x), (ours_y, y)):
        close(ours[labelled], theirs[labelled])
    soft = SimCC(size, label=Softened(sigma, rounded=True), beta=10, **PUBLISHED)
    (soft_x, soft_y), soft_weight = soft.encode(xy, vis)
    drawn = labelled & (w > 0)
    assert torch.equal(soft_weight[labelled], w[labelled])
    for ours, theirs in ((soft_x, x), (soft_y, y)):
        close(ours[drawn], soften(theirs[drawn], 0.1))
    # A perfect network emits the labels themselves. Without a positive value both coordinates are -1 bin in mmpose.
    found = v[f"{tag}_dec_score"] > 0
    assert (v[f"{tag}_dec"][~found] == -0.5).all() and torch.equal(found, drawn)
    for out in ((x, y), soft.oracle((soft_x, soft_y))):
        points = soft.decode(out)
        close(points.xy[found], v[f"{tag}_dec"][found])
        close(points.score[found], v[f"{tag}_dec_score"][found])


def test_sigmas_of_configurations_are_the_rule_to_two_decimals():
    for size, published in SETTINGS.values():
        codec = SimCC(size, label=Softened())
        rule = [label.along(axis.n) for label, axis in zip(codec.labels, (codec.x, codec.y), strict=True)]
        assert [round(sigma, 2) for sigma in rule] == list(published)


def check(loss: Tensor, out: tuple[Tensor, Tensor], v: dict[str, Tensor], name: str, dtype: str) -> None:
    """Compare value and gradients, those in single precision where the file has them."""
    loss.backward()
    torch.testing.assert_close(loss.detach(), v[f"{name}_val_{dtype}"].to(loss.dtype), rtol=1e-5, atol=0)
    for o, side in zip(out, "xy", strict=True):
        theirs = v[f"{name}_g{side}_f64"].to(o.dtype)
        torch.testing.assert_close(o.grad, theirs, rtol=1e-5, atol=1e-6 * theirs.abs().max().item())


def predictions(v: dict[str, Tensor], key: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    x, y = (v[f"{key}_{side}"].to(dtype).clone().requires_grad_() for side in "xy")
    return x, y


@pytest.mark.parametrize("file", full("mm_rtmcc_loss"))
@pytest.mark.parametrize("name", DIVERGENCES)
def test_divergences_and_their_gradients_are_mmposes(file, name):
    v, (beta, label_beta, masked) = tensors(file), DIVERGENCES[name]
    for dtype, short in ((torch.float64, "f64"), (torch.float32, "f32")):
        out, weight = predictions(v, "pred", dtype), torch.ones_like(v["weight"], dtype=dtype)
        weight = weight if name == "kl_now" else v["weight"].to(dtype)
        weight[:, list(masked)] *= 0.3
        target = [v[f"target_{side}"].to(dtype) for side in "xy"]
        target = [soften(t, 1 / label_beta) for t in target] if label_beta else target
        criterion = KL("samples")
        loss = sum(criterion(beta * o, t, weight) for o, t in zip(out, target, strict=True))
        check(loss, out, v, name, short)
        if dtype == torch.float32 and name == "kl_rtm":
            codec = SimCC("32x24", label=Softened(), beta=10, criterion=KL("samples"))
            torch.testing.assert_close(codec.loss(out, tuple(target), weight), loss)
            mean = SimCC("32x24", label=Softened(), beta=10, criterion=KL("mean"))
            torch.testing.assert_close(mean.loss(out, tuple(target), weight) * len(weight), loss)


@pytest.mark.parametrize("file", full("mm_rtmcc_loss"))
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods_and_their_gradients_are_mmposes(file, name):
    v, factor, mode = tensors(file), LIKELIHOODS[name], name.split("_")[0]
    criterion, labels = MLECC(mode), "ntarget" if name.endswith("norm") else "target"
    for dtype, short in ((torch.float64, "f64"), (torch.float32, "f32")):
        p, weight = predictions(v, "prob", dtype), v["weight"].to(dtype)
        target = tuple(v[f"{labels}_{side}"].to(dtype) for side in "xy")
        loss = factor * criterion.of_probabilities(p, target, weight)
        # One value for each sample there, of which training takes the mean.
        each = torch.stack([criterion.of_probabilities(*_of(i, p, target), weight[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(factor * each, v[f"mle_{name}_val_{short}"].to(dtype), rtol=1e-5, atol=0)
        check(loss, p, v | {f"mle_{name}_val_{short}": v[f"mle_{name}_val_{short}"].mean()}, f"mle_{name}", short)
        logits = tuple(o.detach().log() for o in p)
        torch.testing.assert_close(factor * criterion(logits, target, weight), loss, rtol=1e-5, atol=0)


def _of(i: int, *pairs: tuple[Tensor, Tensor]) -> list[tuple[Tensor, ...]]:
    return [tuple(t[i : i + 1] for t in pair) for pair in pairs]


@pytest.mark.parametrize("file", full("mm_rtmcc_loss_full"))
def test_the_loss_of_whole_outputs_is_mmposes(file):
    v = tensors(file)
    codec = SimCC("256x192", label=UnitGaussian((4.9, 5.66), rounded=True), **PUBLISHED)
    targets, _ = codec.encode(v["kpts"], v["vis"])
    targets = tuple(t * (v["vis"] >= 0.5)[..., None] for t in targets)
    for dtype, short in ((torch.float64, "f64"), (torch.float32, "f32")):
        out = []
        for side, target in zip("xy", targets, strict=True):
            noise = np.random.default_rng(int(v[f"seed_{side}"])).standard_normal(target.shape).astype(np.float32)
            drawn = torch.from_numpy(noise * np.float32(0.2)) + target * np.float32(0.5)
            out.append(drawn.to(dtype).requires_grad_())
        criterion = KL("samples")
        soft = [soften(t.to(dtype), 0.1) for t in targets]
        loss = sum(criterion(10 * o, t, v["weight"].to(dtype)) for o, t in zip(out, soft, strict=True))
        loss.backward()
        torch.testing.assert_close(loss.detach(), v[f"val_{short}"].to(dtype), rtol=1e-5, atol=0)
        norms = torch.stack([o.grad.norm() for o in out]).double()
        torch.testing.assert_close(norms, v[f"gnorm_{short}"], rtol=1e-5, atol=0)
        for o, side in zip(out, "xy", strict=True):
            theirs = v[f"g{side}_{short}"]
            scale = theirs.abs().max().item()
            torch.testing.assert_close(o.grad[:, :, ::7], theirs, rtol=1e-5, atol=1e-5 * scale)
