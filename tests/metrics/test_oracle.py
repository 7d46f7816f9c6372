"""Truth in, truth out: through the crops and every codec, what comes back is as exact as the bins allow."""

from pathlib import Path

import numpy as np
import pytest
import torch

from poserep.codecs import DARK, Heatmap, SimCC, SRHeatmap
from poserep.data.loaders.coco import load_coco
from poserep.geometry import ALIGNMENTS, Crop, Size, box_to_region, crop_matrix
from poserep.instances import Truth
from poserep.metrics.coco import CocoAP
from poserep.metrics.scorer import Predictions
from poserep.skeleton import COCO

SIZE = Size(256, 192)


def codecs(align):
    return {
        "argmax": Heatmap(SIZE, sigma=2, align=align),
        "dark": Heatmap(SIZE, sigma=2, quantise="none", truncate=None, align=align, readouts={"dark": DARK(11)}),
        "simcc": SimCC(SIZE, k=2, align=align),
        "sr": SRHeatmap(SIZE, base_sigma=2, align=align),
    }


def people(annotations: Path, images: Path):
    instances = load_coco(annotations, images, COCO)
    xy = torch.from_numpy(np.stack([i.keypoints for i in instances]))
    weight = torch.from_numpy(np.stack([i.weight for i in instances]))
    return instances, xy, weight


def through(codec, instances, xy, weight):
    """Image px to image px, by way of the crop and the codec, and the error in input px of every usable joint."""
    centre, extent = box_to_region(np.stack([i.box for i in instances]), SIZE, codec.x.align)
    crop = Crop(torch.from_numpy(crop_matrix(centre, extent, SIZE, codec.x.align)))
    there = crop.to_input(xy)
    points, usable = [], []
    for part, w in zip(there.split(64), weight.split(64), strict=True):
        target, kept = codec.encode(part, w)
        points.append(codec.decode(codec.oracle(target)))
        usable.append(kept > 0)
    found, keep = torch.cat([p.xy for p in points]), torch.cat(usable)
    score = torch.cat([p.score for p in points])
    return crop.to_image(found), score, (found - there)[keep].abs(), keep


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_error_stays_within_the_bound_of_the_axis(synthetic, align):
    folder = next(synthetic.glob("easy-8-6-*"))
    instances, xy, weight = people(folder / "annotations/train.json", folder / "images/train")
    for name, codec in codecs(align).items():
        _, score, error, keep = through(codec, instances, xy, weight)
        bound = max(axis.reach() * axis.px_per_bin() for axis in (codec.x, codec.y))
        assert error.max() <= bound + 1e-3, name
        assert torch.all(score[keep] == 1), name


@pytest.mark.real
@pytest.mark.parametrize(("name", "least"), [("argmax", 90), ("dark", 98), ("simcc", 98), ("sr", 98)])
def test_oracle_reaches_the_ap_that_its_bins_allow(real_data, name, least):
    annotations = real_data / "coco_annotations/person_keypoints_val2017_subset.json"
    instances, xy, weight = people(annotations, Path("images"))
    codec = codecs("centre")[name]
    back, score, error, keep = through(codec, instances, xy, weight)
    assert error.max() <= codec.x.reach() * codec.x.px_per_bin() + 1e-3
    # Joints outside the crop cannot be represented; they are put where they are, so that only bins are judged.
    back = torch.where(keep[..., None], back, xy)
    score = torch.where(keep, score, 1.0)
    predictions = Predictions(np.arange(len(xy)), back.float().numpy(), score.float().numpy(), threshold=0.2)
    ap = CocoAP(Truth(instances, COCO, annotations, SIZE))(predictions).values["AP"]
    assert least <= ap <= 100
