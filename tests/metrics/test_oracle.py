"""Truth in, truth out: through the crops and the codecs, what comes back is as exact as the bins allow."""

from pathlib import Path

import numpy as np
import pytest
import torch

from poserep.codecs import Heatmap, SimCC
from poserep.data.loaders.coco import load_coco
from poserep.geometry import Crop, Size, box_to_region, crop_matrix
from poserep.instances import Truth
from poserep.metrics.coco import CocoAP
from poserep.metrics.scorer import Predictions
from poserep.skeleton import COCO

SIZE = Size(256, 192)


@pytest.mark.real
@pytest.mark.parametrize(
    ("codec", "least"), [(Heatmap(SIZE, sigma=2), 90), (SimCC(SIZE, k=2), 98)], ids=["map", "simcc"]
)
def test_oracle_reaches_the_ap_that_its_bins_allow(coco_subset, codec, least):
    instances = load_coco(coco_subset, Path("images"), COCO)
    xy = torch.from_numpy(np.stack([i.keypoints for i in instances]))
    crop = Crop(torch.from_numpy(crop_matrix(*box_to_region(np.stack([i.box for i in instances]), SIZE), SIZE)))
    there = crop.to_input(xy)
    target, weight = codec.encode(there, torch.from_numpy(np.stack([i.weight for i in instances])))
    points, keep = codec.decode(codec.oracle(target)), weight > 0
    assert (points.xy - there)[keep].abs().max() <= codec.x.reach() * codec.x.px_per_bin() + 1e-3
    # Joints outside the crop cannot be represented; they are put where they are, so that only bins are judged.
    back = torch.where(keep[..., None], crop.to_image(points.xy), xy)
    score = torch.where(keep, points.score, 1.0)
    predictions = Predictions(np.arange(len(xy)), back.numpy(), score.numpy(), threshold=0.2)
    ap = CocoAP(Truth(instances, COCO, coco_subset, SIZE))(predictions).values["AP"]
    assert least <= ap <= 100
