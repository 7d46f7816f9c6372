"""Which joints are learnt: our dataset and codecs against the official datasets, for every joint of 86 real persons."""

from pathlib import Path

import numpy as np
import pytest
import torch

from poserep.codecs import Codec, Equal, Gaussian, Heatmap, SimCC
from poserep.data.augment import CropRegion
from poserep.data.dataset import PoseDataset
from poserep.instances import Instance
from poserep.skeleton import COCO
from reference.vectors import Given, arrays, files, input_size


def codec(v: dict[str, np.ndarray], representation: str) -> Codec:
    size, sigma, options = input_size(v), float(v["sigma"]), {"align": "corner", "bounds": "published"}
    if representation == "dark":
        return Heatmap(size, sigma=sigma, quantise="none", truncate=None, align="dark", bounds="published")
    if representation == "heatmap":
        return Heatmap(size, sigma=sigma, **options)
    label = Equal() if representation == "simdr" else Gaussian(float(v["sigma_sasimdr"]), renormalise=False)
    return SimCC(size, k=float(v["k"]), label=label, **options)


def persons(v: dict[str, np.ndarray], family: str, mode: str, align: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Points in input px (N, K, 2), where the official code has them, and weights (N, K), as the dataset gives them.

    No photograph is needed to know where joints lie: the images are black.
    """
    count = len(v["image_id"])
    flip, turn, factor = v["aug_flip"].astype(bool), v["aug_rot"], v["aug_factor"][:, None]
    if mode == "off":
        flip, turn, factor = np.zeros(count, bool), np.zeros(count), 1.0
    centre, extent = v[f"{family}_center"].astype(float), v[f"{family}_scale"].astype(float) * 200 * factor
    # The official code mirrors the photograph and then turns it, ours mirrors the crop.
    views = [CropRegion(*view) for view in zip(centre, extent, np.where(flip, -turn, turn), flip.tolist(), strict=True)]
    labelled = (v["src_vis"].reshape(count, -1) > 0).astype(np.float32)
    # Boxes whose centre is the person's number, for which the view is given.
    instances = [
        Instance(Path("black.png"), i, i, np.array([i, 0.0, 0.5, 0.5]), v["src_joints"][i], labelled[i])
        for i in range(count)
    ]
    given = {"augment": Given(views=tuple(views)), "read": lambda path: np.zeros((8, 8, 3), np.uint8)}
    data = PoseDataset(instances, COCO, input_size(v), align, padding=1.0, inclusive=False, **given)
    samples = [data[0, i] for i in range(count)]
    xy, weight = (torch.stack([getattr(s, key) for s in samples]) for key in ("xy", "weight"))
    if family == "simcc":
        # Its mirrored crops show everything 1 px further right than the mirrored crop: pixels mirror about
        # (W - 1) / 2, and the centre of the mirrored photograph's region goes to W / 2.
        xy[torch.from_numpy(flip), :, 0] += 1
    return xy, weight


@pytest.mark.parametrize("file", files("pipeline_weights_*"))
@pytest.mark.parametrize("mode", ["off", "fix"])
@pytest.mark.parametrize("representation", ["heatmap", "simdr", "sasimdr", "dark"])
def test_the_same_joints_count_as_in_the_official_dataset(file, mode, representation):
    v = arrays(file)
    family = "dark" if representation == "dark" else "simcc"
    ours = codec(v, representation)
    xy, weight = persons(v, family, mode, ours.x.align)
    labelled = torch.from_numpy(v[f"{family}_{mode}_vis"].reshape(weight.shape) > 0)
    assert torch.equal(weight > 0, labelled)
    # The official matrices are solved from float32 points, and joints far outside the crop move by more.
    theirs = torch.from_numpy(v[f"{family}_{mode}_joints"]).float()
    torch.testing.assert_close(xy[labelled], theirs[labelled], atol=1e-3, rtol=2e-5)
    target, kept = ours.encode(xy, weight)
    official = torch.from_numpy(v[f"{representation}_{mode}_weight"].reshape(weight.shape)).float()
    assert torch.equal(kept, official)
    # SimDR keeps next to none of the joints outside the crop, the others most of them.
    assert representation == "simdr" or ((kept > 0) & ~ours.in_crop(xy)).sum() >= 4
    if representation == "simdr":
        label = torch.stack([part.argmax(-1) for part in target], -1)
        assert torch.equal(label[kept > 0], torch.from_numpy(v[f"simdr_{mode}_label"]).long()[kept > 0])
    elif representation == "sasimdr":
        for axis, part in zip("xy", target, strict=True):
            mass = torch.from_numpy(v[f"sasimdr_{mode}_sum_{axis}"])
            torch.testing.assert_close(part.sum(-1)[kept > 0], mass[kept > 0], atol=2e-4, rtol=0)
    else:
        peak = torch.from_numpy(v[f"{representation}_{mode}_peak"])
        torch.testing.assert_close(target.amax((-2, -1)), peak, atol=1e-3, rtol=0)
