"""What the loader promises: stateless samples, the same order for any number of ranks, exact crops."""

import numpy as np
import pytest
import torch

from poserep.data import Augment, BlockSampler, EpochSampler, PoseDataset, load_coco, read_image
from poserep.data.augment import View
from poserep.data.synthetic import generate
from poserep.geometry import Size
from poserep.skeleton import COCO

SIZE = Size(96, 64)
STRONG = Augment(scale=0.35, rotation=45, flip=0.5, half_body=0.5, half_body_min=4)


@pytest.fixture(scope="module")
def instances(tmp_path_factory):
    folder = generate(tmp_path_factory.mktemp("people"), "easy", train=6, val=1, workers=1)
    return load_coco(folder / "annotations/train.json", folder / "images/train", COCO)


def dataset(instances, augment=STRONG, **options):
    return PoseDataset(instances, COCO, SIZE, augment=augment, **options)


def test_sample_depends_on_seed_epoch_and_index_alone(instances):
    first, again = dataset(instances), dataset(instances)
    for _ in range(3):
        first[0, 1]
    for a, b in zip(first[3, 2], again[3, 2], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0) if isinstance(a, torch.Tensor) else None
    assert not torch.equal(first[3, 2].crop.matrix, first[4, 2].crop.matrix)
    assert not torch.equal(first[3, 2].crop.matrix, dataset(instances, seed=1)[3, 2].crop.matrix)


def test_keypoints_follow_the_crop(instances):
    data = dataset(instances)
    for epoch in range(8):
        sample = data[epoch, epoch % 6]
        instance = instances[epoch % 6]
        flipped = torch.det(sample.crop.matrix[:, :2]) < 0
        truth = torch.from_numpy(instance.keypoints)[COCO.flip_perm() if flipped else slice(None)]
        back = sample._replace(crop=type(sample.crop)(sample.crop.matrix[None])).crop.to_image(sample.xy[None])[0]
        torch.testing.assert_close(back, truth, rtol=0, atol=1e-3)


def test_joints_outside_the_crop_have_no_weight(instances):
    for epoch in range(20):
        sample = dataset(instances)[epoch, epoch % 6]
        x, y = sample.xy.unbind(1)
        outside = (x < -0.5) | (x >= SIZE.width - 0.5) | (y < -0.5) | (y >= SIZE.height - 0.5)
        assert not sample.weight[outside].any()


def test_mirrored_crop_is_the_mirror_image_of_the_crop(instances):
    plain = dataset(instances, Augment())[0, 0]
    mirrored = dataset(instances, Augment(flip=1.0))[0, 0]
    difference = (plain.image.flip(-1).float() - mirrored.image.float()).abs()
    # OpenCV interpolates with fixed-point weights, which round differently from the other side.
    assert difference.mean() < 0.5 and difference.max() <= 12
    perm = COCO.flip_perm()
    expected = torch.stack([SIZE.width - 1 - plain.xy[perm, 0], plain.xy[perm, 1]], 1)
    torch.testing.assert_close(mirrored.xy, expected, rtol=0, atol=1e-4)


def test_half_body_looks_at_one_half():
    xy = np.stack([np.linspace(10, 50, 17), np.linspace(10, 90, 17)], 1).astype(np.float32)
    view = View(np.array([30.0, 50.0]), np.array([64.0, 96.0]))
    augment = Augment(half_body=1.0)
    centres = {
        round(
            float(augment.view(np.random.default_rng(i), view, xy, np.ones(17), COCO.upper_mask(), SIZE).centre[1]), 3
        )
        for i in range(20)
    }
    assert centres == {round(float(xy[:11, 1].mean()), 3), round(float(xy[11:, 1].mean()), 3)}


def test_few_joints_are_never_halved():
    xy = np.full((17, 2), 5, np.float32)
    view = View(np.array([30.0, 50.0]), np.array([64.0, 96.0]))
    weight = (np.arange(17) < 8).astype(np.float32)
    found = Augment(half_body=1.0).view(np.random.default_rng(0), view, xy, weight, COCO.upper_mask(), SIZE)
    assert found.centre is view.centre


@pytest.mark.parametrize("world", [2, 3, 4])
def test_a_training_step_sees_the_same_samples_on_any_number_of_ranks(world):
    length, batch = 50, 12
    one = EpochSampler(length, seed=5)
    ranks = [EpochSampler(length, 5, rank, world) for rank in range(world)]
    for sampler in (one, *ranks):
        sampler.set_epoch(3)
    order, shares = list(one), [list(r) for r in ranks]
    assert len({len(s) for s in shares}) == 1
    per = batch // world
    for step in range(length // batch):
        together = {pair for share in shares for pair in share[step * per : (step + 1) * per]}
        assert together == set(order[step * batch : (step + 1) * batch])


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [1, 4, 9, 21])
def test_evaluation_batches_are_the_same_on_any_number_of_ranks(length, world):
    batch = 4
    whole = {tuple(range(s, min(s + batch, length))) for s in range(0, length, batch)}
    shares = [[i for _, i in BlockSampler(length, batch, rank, world)] for rank in range(world)]
    found = [[tuple(s[i : i + batch]) for i in range(0, len(s), batch)] for s in shares]
    assert {block for blocks in found for block in blocks} == whole
    assert len({len(blocks) for blocks in found}) == 1, "every rank takes as many steps"


def test_image_comes_back_in_rgb(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "red.png"), np.full((4, 5, 3), (0, 0, 255), np.uint8))
    image = read_image(tmp_path / "red.png")
    assert image.shape == (4, 5, 3) and (image == (255, 0, 0)).all()
