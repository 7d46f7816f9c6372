"""What the loader promises: stateless samples, the same order for any number of ranks, exact crops."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from poserep.data import load_coco
from poserep.data.augment import Augment, View
from poserep.data.datamodule import BlockSampler, EpochSampler, PoseDataModule
from poserep.data.dataset import PoseDataset, visible_pixels
from poserep.data.decode import read_image
from poserep.data.synthetic import generate
from poserep.geometry import ALIGNMENTS, Crop, Size, crop_matrix
from poserep.instances import Instance, InstanceTable
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


def test_joints_outside_the_crop_are_handed_on_with_their_labels(instances):
    outside = 0
    for epoch in range(20):
        data, index = dataset(instances), epoch % 6
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


def samples(loader):
    """(index, image, xy, weight) of all batches, in order."""
    return [
        (int(i), image, xy, weight)
        for batch in loader
        for i, image, xy, weight in zip(batch.index, batch.image, batch.xy, batch.weight, strict=True)
    ]


def assert_same(ours, theirs):
    assert [a[0] for a in ours] == [b[0] for b in theirs]
    for a, b in zip(ours, theirs, strict=True):
        for x, y in zip(a[1:], b[1:], strict=True):
            torch.testing.assert_close(x, y, rtol=0, atol=0)


@pytest.fixture(scope="module")
def noisy():
    """Geometry and pixels at random."""
    import albumentations

    pixels = [albumentations.RandomBrightnessContrast(p=0.7), albumentations.CoarseDropout(p=0.5)]
    return Augment(scale=0.35, rotation=45, flip=0.5, jitter=0.4, jitter_prob=0.5, pixels=pixels)


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_make_the_pixels_that_one_process_makes(instances, noisy, workers):
    def epoch(workers):
        return samples(PoseDataModule(dataset(instances, noisy), {}, 2, 0, workers).train_dataloader())

    assert_same(epoch(workers), epoch(0))


@pytest.mark.parametrize(
    ("batch", "drop_last", "sizes"), [(4, True, [4]), (4, False, [4, 2]), (3, False, [3, 3]), (8, True, [6])]
)
def test_the_last_batch_of_an_epoch_can_be_kept(instances, batch, drop_last, sizes):
    module = PoseDataModule(dataset(instances), {}, batch, 0, 0, drop_last)
    whole = [found.index.tolist() for found in module.train_dataloader()]
    assert [len(index) for index in whole] == sizes and len(module.train_dataloader()) == len(sizes)
    # An epoch that is gone on with ends as it would have.
    module.first_step = 1
    assert [found.index.tolist() for found in module.train_dataloader()] == whole[1:]


def test_two_ranks_make_the_pixels_that_one_makes(instances, noisy):
    def epoch(seed, number, rank=0, world=1):
        sampler = EpochSampler(len(instances), seed, rank, world)
        sampler.set_epoch(number)
        return samples(DataLoader(dataset(instances, noisy, seed=seed), 3, sampler=sampler))

    one = epoch(0, 1)
    halves = [epoch(0, 1, rank, 2) for rank in range(2)]
    assert_same([pair for pairs in zip(*halves, strict=True) for pair in pairs], one[: 2 * len(halves[0])])
    first = {index: image for index, image, *_ in one}
    for other in (epoch(0, 2), epoch(1, 1)):
        assert all(not torch.equal(image, first[index]) for index, image, *_ in other)


def test_a_move_of_the_box_drawn_once_stays_through_all_epochs(instances):
    def centres(**options):
        data = dataset(instances, Augment(jitter=0.4, jitter_prob=1.0, **options))
        return {tuple(data[epoch, 2].crop.matrix[:, 2].tolist()) for epoch in range(4)}

    assert len(centres()) == 4
    assert len(centres(jitter_once=True)) == 1
    assert centres(jitter_once=True) != {tuple(dataset(instances, None)[0, 2].crop.matrix[:, 2].tolist())}


def test_labels_mirrored_twice_are_what_they_were(instances):
    plain, mirrored = dataset(instances, Augment()), dataset(instances, Augment(flip=1.0))
    perm = COCO.flip_perm()
    for i in range(6):
        once, before = mirrored[0, i], plain[0, i]
        back = torch.stack([SIZE.width - 1 - once.xy[perm, 0], once.xy[perm, 1]], 1)
        torch.testing.assert_close(back, before.xy, rtol=0, atol=1e-4)
        torch.testing.assert_close(once.weight[perm], before.weight, rtol=0, atol=0)
        # As in the test of one mirror: the fixed-point weights of OpenCV.
        assert (once.image.flip(-1).float() - before.image.float()).abs().mean() < 0.5


def test_persons_are_kept_as_arrays(instances):
    data = dataset(instances)
    assert isinstance(data.instances, InstanceTable) and len(data) == len(instances)
    assert dataset(data.instances).instances is data.instances


def picture(path, height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    cv2.imwrite(str(path), image)
    return image[..., ::-1]


def person(path, box=(0, 0, 9, 9)):
    return Instance(path, 1, 1, np.array(box, float), np.zeros((17, 2), np.float32), np.zeros(17, np.float32))


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_a_whole_image_of_the_inputs_size_stays_as_it_is(tmp_path, align):
    image = picture(tmp_path / "a.png", *SIZE)
    sample = dataset([person(tmp_path / "a.png")], None, align=align, whole=True)[0, 0]
    np.testing.assert_array_equal(sample.image.numpy(), image.transpose(2, 0, 1))
    np.testing.assert_allclose(sample.crop.matrix.numpy(), np.eye(2, 3), atol=1e-12)


def test_a_whole_image_of_another_shape_fits_inside_the_input(tmp_path):
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


@pytest.mark.parametrize(("align", "inclusive"), [("edge", None), ("edge", False), ("centre", True), ("corner", None)])
def test_a_box_can_end_with_its_last_pixel_under_any_alignment(tmp_path, align, inclusive):
    picture(tmp_path / "a.png", 120, 90)
    sample = dataset([person(tmp_path / "a.png", (10, 20, 40, 60))], None, align=align, inclusive=inclusive)[0, 0]
    centre = (29.5, 49.5) if inclusive or (inclusive is None and align == "edge") else (30, 50)
    middle = (32, 48) if align == "corner" else (31.5, 47.5)
    matrix = sample.crop.matrix.numpy()
    np.testing.assert_allclose(matrix[:, :2] @ centre + matrix[:, 2], middle, atol=1e-9)


@pytest.mark.parametrize("box", [(-400, 10, 30, 40), (10, -400, 30, 40), (400, 10, 30, 40), (10, 400, 30, 40)])
def test_a_person_beside_the_image_is_black(tmp_path, box):
    for name in ("a.png", "a.jpg"):
        picture(tmp_path / name, 120, 90)
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


def test_image_comes_back_in_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "red.png"), np.full((4, 5, 3), (0, 0, 255), np.uint8))
    image = read_image(tmp_path / "red.png")
    assert image.shape == (4, 5, 3) and (image == (255, 0, 0)).all()
