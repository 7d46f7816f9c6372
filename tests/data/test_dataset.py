"""What the loader promises: stateless samples, the same order for any number of ranks, exact crops, random views."""

from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from poserep.data.augment import Augment, CropRegion
from poserep.data.crop_reader import visible_pixels
from poserep.data.datamodule import EpochSampler, PoseDataModule, evaluation_batches
from poserep.data.dataset import PoseDataset
from poserep.errors import InputError
from poserep.geometry import ALIGNMENTS, Crop, Size, crop_matrix
from poserep.instances import Instance, InstanceTable
from poserep.skeleton import COCO

SIZE = Size(96, 64)
STRONG = Augment(scale=0.35, rotation=45, flip=0.5, half_body=0.5, half_body_min=4)


def dataset(persons, augment=STRONG, **options):
    return PoseDataset(persons, COCO, SIZE, augment=augment, **options)


def test_sample_depends_on_seed_epoch_and_index_alone(drawn):
    first, again = dataset(drawn), dataset(drawn)
    for _ in range(3):
        first[0, 1]
    for a, b in zip(first[3, 2], again[3, 2], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0) if isinstance(a, torch.Tensor) else None
    assert not torch.equal(first[3, 2].crop.matrix, first[4, 2].crop.matrix)
    assert not torch.equal(first[3, 2].crop.matrix, dataset(drawn, seed=1)[3, 2].crop.matrix)


def test_joints_outside_the_crop_are_handed_on_with_their_labels(drawn):
    outside = 0
    for epoch in range(20):
        data, index = dataset(drawn), epoch % 6
        assert isinstance(data.instances, InstanceTable) and dataset(data.instances).instances is data.instances
        sample = data[epoch, index]
        labels = data.instances.weight[index]
        flipped = torch.linalg.det(sample.crop.matrix[:, :2]) < 0
        assert torch.equal(sample.weight, torch.from_numpy(labels[data.perm] if flipped else labels))
        image = Crop(sample.crop.matrix[None]).to_image(sample.xy[None].double())[0].numpy()
        truth = data.instances.keypoints[index]
        np.testing.assert_allclose(image, truth[data.perm] if flipped else truth, atol=1e-3)
        x, y = sample.xy.unbind(1)
        beyond = (x < -0.5) | (x >= SIZE.width - 0.5) | (y < -0.5) | (y >= SIZE.height - 0.5)
        outside += int((beyond & (sample.weight > 0)).sum())
    assert outside > 10


def test_mirrored_crop_is_the_mirror_image_of_the_crop(drawn):
    plain = dataset(drawn, Augment())[0, 0]
    mirrored = dataset(drawn, Augment(flip=1.0))[0, 0]
    difference = (plain.image.flip(-1).float() - mirrored.image.float()).abs()
    # OpenCV interpolates with fixed-point weights, which round differently from the other side.
    assert difference.mean() < 0.5 and difference.max() <= 12
    perm = COCO.flip_perm()
    expected = torch.stack([SIZE.width - 1 - plain.xy[perm, 0], plain.xy[perm, 1]], 1)
    torch.testing.assert_close(mirrored.xy, expected, rtol=0, atol=1e-4)


def test_a_training_step_sees_the_same_samples_on_any_number_of_ranks():
    length, batch = 50, 12
    for world in (2, 3, 4):
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


def test_evaluation_batches_are_the_same_on_any_number_of_ranks():
    batch = 4
    for length, world in product((1, 4, 9, 21), (1, 2, 3, 5)):
        # Images of the second group have another size, and share no batch with those of the first.
        groups = [g for g in (np.arange(0, length, 2), np.arange(1, length, 2)) if len(g)]
        whole = {tuple(g[s : s + batch].tolist()) for g in groups for s in range(0, len(g), batch)}
        shares = [evaluation_batches(groups, batch, rank, world) for rank in range(world)]
        blocks = [[tuple(i for _, i in block) for block in share] for share in shares]
        assert {block for rank in blocks for block in rank} == whole
        assert len({len(rank) for rank in blocks}) == 1, "every rank takes as many steps"


def test_the_last_batch_of_an_epoch_can_be_kept(drawn):
    for batch, drop_last, sizes in (4, True, [4]), (4, False, [4, 2]), (3, False, [3, 3]), (8, True, [6]):
        module = PoseDataModule(dataset(drawn), {}, batch, 0, 0, drop_last)
        whole = [found.index.tolist() for found in module.train_dataloader()]
        assert [len(index) for index in whole] == sizes and len(module.train_dataloader()) == len(sizes)
        # An epoch that is resumed ends as it would have.
        module.resume(0, 1)
        assert [found.index.tolist() for found in module.train_dataloader()] == whole[1:]


def test_a_move_of_the_box_drawn_once_stays_through_all_epochs(drawn):
    def centres(**options):
        data = dataset(drawn, Augment(jitter=0.4, jitter_prob=1.0, **options))
        return {tuple(data[epoch, 2].crop.matrix[:, 2].tolist()) for epoch in range(4)}

    assert len(centres()) == 4
    assert len(centres(jitter_once=True)) == 1
    assert centres(jitter_once=True) != {tuple(dataset(drawn, None)[0, 2].crop.matrix[:, 2].tolist())}


def picture(path, height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    cv2.imwrite(str(path), image)
    return image[..., ::-1]


def person(path, box=(0, 0, 9, 9)):
    return Instance(path, 1, 1, np.array(box, float), np.zeros((17, 2), np.float32), np.zeros(17, np.float32))


def test_a_whole_image_stays_as_it_is_or_fits_inside_the_input(tmp_path):
    image = picture(tmp_path / "a.png", *SIZE)
    for align in ALIGNMENTS:
        sample = dataset([person(tmp_path / "a.png")], None, align=align, whole=True)[0, 0]
        np.testing.assert_array_equal(sample.image.numpy(), image.transpose(2, 0, 1))
        np.testing.assert_allclose(sample.crop.matrix.numpy(), np.eye(2, 3), atol=1e-12)
    picture(tmp_path / "a.png", 50, 200)
    matrix = dataset([person(tmp_path / "a.png")], None, whole=True)[0, 0].crop.matrix.numpy()
    corners = np.array([[-0.5, -0.5], [199.5, 49.5]]) @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(corners, [[-0.5, 47.5 - 8], [63.5, 47.5 + 8]], atol=1e-9)


def test_channels_in_the_order_of_opencv(tmp_path):
    picture(tmp_path / "a.png", 120, 90)
    rgb, bgr = (dataset([person(tmp_path / "a.png", (5, 5, 60, 90))], None, bgr=bgr)[0, 0] for bgr in (False, True))
    assert not torch.equal(rgb.image, bgr.image)
    torch.testing.assert_close(bgr.image.flip(0), rgb.image, rtol=0, atol=0)


def test_a_depth_map_is_one_float_channel():
    def read(path: Path) -> np.ndarray:
        return np.linspace(0, 5, SIZE.height * SIZE.width, dtype=np.float32).reshape(SIZE)

    sample = dataset([person(Path("no file"))], None, read=read, whole=True)[0, 0]
    assert sample.image.shape == (1, *SIZE) and sample.image.dtype == torch.float32
    np.testing.assert_array_equal(sample.image[0].numpy(), read(Path()))
    for options in {"bgr": True}, {"augment": Augment(pixels=["brighter"])}:
        with pytest.raises(InputError, match="no photographs"):
            dataset([person(Path("no file"))], **{"augment": None, "read": read, **options})


def test_a_box_can_end_with_its_last_pixel_under_any_alignment(tmp_path):
    picture(tmp_path / "a.png", 120, 90)
    for align, inclusive in ("edge", None), ("edge", False), ("centre", True), ("corner", None):
        sample = dataset([person(tmp_path / "a.png", (10, 20, 40, 60))], None, align=align, inclusive=inclusive)[0, 0]
        centre = (29.5, 49.5) if inclusive or (inclusive is None and align == "edge") else (30, 50)
        middle = (32, 48) if align == "corner" else (31.5, 47.5)
        matrix = sample.crop.matrix.numpy()
        np.testing.assert_allclose(matrix[:, :2] @ centre + matrix[:, 2], middle, atol=1e-9)


def test_a_person_beside_the_image_is_black(tmp_path):
    for name in ("a.png", "a.jpg"):
        picture(tmp_path / name, 120, 90)
        for box in (-400, 10, 30, 40), (10, -400, 30, 40), (400, 10, 30, 40), (10, 400, 30, 40):
            assert not dataset([person(tmp_path / name, box)], None)[0, 0].image.any()


def test_pixels_that_a_crop_shows_are_all_that_it_needs():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (300, 280, 3), np.uint8), (0, 0), 2)
    for _ in range(60):
        extent = rng.uniform(20, 500) * np.array([2 / 3, 1])
        matrix = crop_matrix(rng.uniform(-50, 350, 2), extent, SIZE, "centre", rng.uniform(-90, 90), rng.random() < 0.5)
        left, top, right, bottom = visible_pixels(matrix, SIZE)
        outside = image.copy()
        outside[top:bottom, left:right] = 0
        assert not cv2.warpAffine(outside, matrix, SIZE[::-1], flags=cv2.INTER_LINEAR).any()


BOX = np.array([10.0, 20.0, 40.0, 80.0])


def test_boxes_move_within_the_stated_share_as_often_as_stated():
    augment = Augment(jitter=0.4, jitter_prob=0.3)
    rng = np.random.default_rng(0)
    boxes = np.array([augment.move(rng, BOX) for _ in range(4000)])
    moves = (boxes - BOX)[:, :2] / BOX[2:]
    assert (boxes[:, 2:] == BOX[2:]).all()
    assert np.abs(moves).max() <= 0.2 and np.abs(moves).max() > 0.19
    assert (moves != 0).any(1).mean() == pytest.approx(0.3, abs=0.03)
    assert moves.mean(0) == pytest.approx([0, 0], abs=0.01)
    # Without jitter nothing is drawn.
    assert Augment().move(None, BOX) is BOX


XY = np.stack([np.linspace(10, 50, 17), np.linspace(10, 90, 17)], 1).astype(np.float32)
VIEW = CropRegion(np.array([30.0, 50.0]), np.array([64.0, 96.0]))


def halved(seed: int = 0, labelled: int = 17, **options) -> CropRegion:
    augment, weight = Augment(half_body=1.0, **options), (np.arange(17) < labelled).astype(np.float32)
    return augment.region(np.random.default_rng(seed), VIEW, XY, weight, COCO.upper_mask(), Size(96, 64))


def test_half_body_looks_at_one_half_of_those_who_have_enough_joints():
    centres = {round(float(halved(seed).centre[1]), 3) for seed in range(20)}
    assert centres == {round(float(XY[:11, 1].mean()), 3), round(float(XY[11:, 1].mean()), 3)}
    assert halved(labelled=8).centre is VIEW.centre


def test_half_body_may_count_pixels():
    extents = [halved(upper_prob=1.0, half_body_px=px).extent for px in (0.0, 1.0)]
    # The upper body spans 50 px downwards, which decide; 1.5 is the official padding of halves.
    assert extents[1][1] - extents[0][1] == pytest.approx(1.5)


def test_impossible_settings_are_refused():
    for wrong in {"jitter_prob": 1.5}, {"jitter": -0.1}, {"upper_prob": -1}, {"scale": 1.0}:
        with pytest.raises(InputError, match=next(iter(wrong)).split("_")[0]):
            Augment(**wrong)
