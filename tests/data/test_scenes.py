"""Whole images as data: all people of each, the mask of what may be learnt, random views, groups of equal sizes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torch.utils.data import DataLoader, default_collate

from poserep.data import Augment, SceneAugment, load_coco
from poserep.data.cache import ImageCache
from poserep.data.coco_file import read_coco
from poserep.data.dataset import PoseDataset
from poserep.data.scene_geometry import padded_size, scene_region
from poserep.data.scene_table import scenes_of
from poserep.data.scenes import SceneDataset
from poserep.errors import InputError
from poserep.geometry import ALIGNMENTS, Crop, Size, crop_matrix
from poserep.instances import CocoForm, Tally
from poserep.skeleton import Skeleton

THREE = Skeleton("three", ("a", "left", "right"), (("left", "right"),), (), (0.1,) * 3)
SIZE = Size(64, 64)
WIDTH, HEIGHT = 90, 60
PERSON = {"keypoints": [20, 30, 2, 60, 40, 1, 30, 40, 0], "num_keypoints": 2, "bbox": [10, 20, 50, 30], "area": 900.0}
HIDDEN = {"keypoints": [0] * 9, "num_keypoints": 0, "bbox": [40, 10, 20, 15]}
BLOCK = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
BLOCK[10:25, 40:60] = 1
TEXT = coco_mask.encode(BLOCK)["counts"].decode()
# The runs of a block, column by column.
RUNS = [40 * HEIGHT + 10] + [15, 45] * 19 + [15, 30 * HEIGHT + 35]
POLYGON = [40, 10, 60, 10, 60, 25, 40, 25]
FORMS = {
    "polygons": {"segmentation": [POLYGON]},
    "one polygon": {"segmentation": POLYGON},
    "counts": {"segmentation": {"size": [HEIGHT, WIDTH], "counts": RUNS}},
    "text": {"segmentation": {"size": [HEIGHT, WIDTH], "counts": TEXT}},
}


def write(folder: Path, *people: list[dict], sizes=((WIDTH, HEIGHT),), name="a.json", **image) -> Path:
    """Write a file of images with their people, and noise for the images."""
    images, annotations = [], []
    for number, records in enumerate(people):
        width, height = sizes[number % len(sizes)]
        images.append({"id": 10 + number, "file_name": f"{number}.png", "width": width, "height": height} | image)
        noise = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.GaussianBlur(noise, (0, 0), 2))
        annotations += [{"image_id": 10 + number, "category_id": 1, "iscrowd": 0} | record for record in records]
    annotations = [{"id": key} | record for key, record in enumerate(annotations, 1)]
    category = {"id": 1, "name": "person", "keypoints": list(THREE.names)}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    (folder / name).write_text(json.dumps(content))
    return folder / name


def table(path: Path, training=False, tally=None, skip_invalid=False, limit=None):
    tally = Tally() if tally is None else tally
    persons = load_coco(path, path.parent, THREE, tally=tally, masks=True)
    file = read_coco(path, CocoForm(masks=True))
    return scenes_of(file, path.parent, persons, training, tally, skip_invalid, limit)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Six images of three sizes, the last one empty."""
    people = [[PERSON], [PERSON] * 31, [HIDDEN, PERSON], [{**HIDDEN, "iscrowd": 1, **FORMS["counts"]}], [PERSON], []]
    return table(write(tmp_path_factory.mktemp("many"), *people, sizes=((90, 60), (60, 90), (100, 40))))


def dataset(scenes, augment=None, **options):
    return SceneDataset(scenes, THREE, options.pop("size", SIZE), augment=augment, **options)


def assert_same(one, other):
    for a, b in zip(torch.utils._pytree.tree_leaves(one), torch.utils._pytree.tree_leaves(other), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_an_item_depends_on_seed_epoch_and_index_alone(many):
    first, again = dataset(many, SceneAugment()), dataset(many, SceneAugment())
    for _ in range(3):
        first[0, 1]
    assert_same(first[3, 2], again[3, 2])
    for other in first[4, 2], dataset(many, SceneAugment(), seed=1)[3, 2]:
        assert not torch.equal(first[3, 2].crop.matrix, other.crop.matrix)
    order = [(0, 4), (1, 2), (0, 0)]
    items = next(iter(DataLoader(first, 3, sampler=order, num_workers=1)))
    assert_same(items, default_collate([again[item] for item in order]))


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_all_people_and_the_mask_lie_on_the_picture(many, align):
    seen = set()
    for epoch in range(6):
        data = dataset(many, SceneAugment(), align=align)
        item = data[epoch, 1]
        assert item.image.shape == (3, *SIZE) and item.mask.shape == SIZE and item.mask.dtype == torch.bool
        assert item.xy.shape == (31, 3, 2) and item.weight.shape == (31, 3) and item.index == 11 and item.others == []
        mirrored = bool(torch.linalg.det(item.crop.matrix[:, :2]) < 0)
        seen.add(mirrored)
        columns = [0, 2, 1] if mirrored else [0, 1, 2]
        image = Crop(item.crop.matrix[None]).to_image(item.xy[:1].double()).numpy()[0]
        np.testing.assert_allclose(image[columns], [[20, 30], [60, 40], [30, 40]], atol=1e-3)
        assert item.weight[0, columns].tolist() == [1, 1, 0]
        # Beyond the photograph nothing may be learnt.
        y, x = np.mgrid[: SIZE.height, : SIZE.width]
        pixels = Crop(item.crop.matrix[None]).to_image(torch.tensor(np.dstack([x, y]).reshape(1, -1, 2)).double())[0]
        wh = torch.tensor([60, 90])
        outside = ((pixels < -1) | (pixels > wh)).any(1).reshape(SIZE)
        inside = ((pixels > 0) & (pixels < wh - 1)).all(1).reshape(SIZE)
        assert item.mask[inside].all() and not item.mask[outside].any() and not item.image[:, outside].any()
        assert_same(item.labels, (item.xy, item.weight, item.mask))
    assert seen == {True, False}
    empty = dataset(many, SceneAugment())[0, 5]
    assert not empty.weight.any() and not empty.xy.any()


def test_labels_of_mirrored_images_can_lie_beside_them(many):
    plain = dataset(many, SceneAugment(flip=1.0))[0, 2]
    moved = dataset(many, SceneAugment(flip=1.0), mirror_px=-3)[0, 2]
    torch.testing.assert_close(moved.xy[:1], plain.xy[:1] - torch.tensor([3.0, 0.0]))
    assert torch.equal(moved.mask[:, :-3], plain.mask[:, 3:]) and torch.equal(moved.image, plain.image)
    still = SceneAugment(flip=0.0)
    assert_same(dataset(many, still)[0, 2], dataset(many, still, mirror_px=-3)[0, 2])


@pytest.mark.parametrize("form", FORMS)
def test_masks_of_all_forms_leave_out_the_same(tmp_path, form):
    for left_out in {**HIDDEN, **FORMS[form]}, {**PERSON, "iscrowd": 1, **FORMS[form]}:
        tally = Tally()
        scenes = table(write(tmp_path, [PERSON, left_out]), tally=tally)
        assert (scenes.learnable(0) == 255 - 255 * BLOCK).all()
        assert len(scenes.persons) == 1 and not tally.mended.total()


def test_people_without_a_mask_are_left_out_by_their_box(tmp_path):
    tally = Tally()
    nothing = {**HIDDEN, "bbox": [0, 0, 0, 0]}
    scenes = table(write(tmp_path, [PERSON, HIDDEN, {**HIDDEN, "segmentation": []}, nothing]), tally=tally)
    assert (scenes.learnable(0) == 255 - 255 * BLOCK).all()
    assert tally.mended["not to be learnt, whose box stands for the mask"] == 2
    assert tally.mended["not to be learnt, without mask or box"] == 1


BROKEN = {
    "polygon": ([[1, 2, 3, 4]], "has the polygon .*three or more points"),
    "numbers": ([[1, 2, 3, 4, 5, None]], "has the polygon"),
    "form": ("mask.png", "'mask.png', neither polygons nor an RLE"),
    "counts": ({"size": [HEIGHT, WIDTH], "counts": 7}, "neither polygons nor an RLE"),
    "size": ({"size": [WIDTH, HEIGHT], "counts": TEXT}, r"of the size \[h, w\] = \[90, 60\] on an image of \[60, 90\]"),
    "too few": ({"size": [HEIGHT, WIDTH], "counts": [5, 6]}, "not whole numbers that add up to 90 x 60 px"),
    "too many": ({"size": [HEIGHT, WIDTH], "counts": [0, 10**9]}, "add up"),
    "negative": ({"size": [HEIGHT, WIDTH], "counts": [-1, WIDTH * HEIGHT + 1]}, "add up"),
    "cut text": ({"size": [HEIGHT, WIDTH], "counts": TEXT[:-1]}, "add up"),
    "text": ({"size": [HEIGHT, WIDTH], "counts": "no counts"}, "add up"),
    "endless text": ({"size": [HEIGHT, WIDTH], "counts": "P" * 100}, "add up"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_masks_that_cannot_be_read_are_refused_or_left_out(tmp_path, fault):
    given, message = BROKEN[fault]
    path = write(tmp_path, [PERSON, {**HIDDEN, "segmentation": given}])
    with pytest.raises(InputError, match=rf"a\.json: annotation 2 .*{message}.*; write polygons .*skip_invalid"):
        table(path)
    tally = Tally()
    assert table(path, tally=tally, skip_invalid=True).learnable(0).all()
    assert tally.left_out["with a mask that cannot be read"] == 1


def test_training_has_the_images_with_annotations_and_evaluation_all(tmp_path):
    other = {**PERSON, "category_id": 2}
    path = write(tmp_path, [PERSON], [], [HIDDEN], [other], [PERSON, PERSON])
    assert table(path).image_id.tolist() == [10, 11, 12, 13, 14]
    training = table(path, training=True)
    assert training.image_id.tolist() == [10, 12, 14] and training.first.tolist() == [0, 1, 1, 3]
    assert training.rows == 30 and [p.id for p in training.persons] == [1, 4, 5]
    assert table(path, training=True, limit=2).image_id.tolist() == [10, 12]
    path = write(tmp_path, [HIDDEN], [PERSON])
    with pytest.raises(InputError, match=r"a\.json: nobody with labelled keypoints on its 1 images"):
        table(path, limit=1)


def test_images_without_a_size_are_refused_or_left_out(tmp_path):
    path = write(tmp_path, [PERSON], [], [PERSON])
    content = json.loads(path.read_text())
    del content["images"][1]["width"]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"a\.json: a scene is image 11, of which the file has no size"):
        table(path)
    tally = Tally()
    assert table(path, tally=tally, skip_invalid=True).image_id.tolist() == [10, 12]
    assert tally.left_out["on images without size"] == 1 and tally.taken == 2


def test_files_read_as_one_keep_their_masks(tmp_path):
    paths = [
        write(tmp_path, [PERSON, {**HIDDEN, **FORMS["text"]}], name="a.json"),
        write(tmp_path, [{**HIDDEN, **FORMS["counts"]}, {**PERSON, "segmentation": [POLYGON]}], name="b.json"),
    ]
    records = read_coco(paths, CocoForm(masks=True)).annotations
    # The second stands for the same person on the same image.
    assert [("segmentation" in r, r["num_keypoints"]) for r in records] == [(False, 2), (True, 0)]
    assert not any("segmentation" in r for r in read_coco(paths).annotations)


def test_widths_and_heights_that_the_loader_exchanges_are_exchanged_here(tmp_path):
    path = write(tmp_path, [PERSON], [])
    content = json.loads(path.read_text())
    for image in content["images"]:
        image.update(width=HEIGHT, height=WIDTH)
    path.write_text(json.dumps(content))
    for exchanged, size in (0, [HEIGHT, WIDTH]), (1, [WIDTH, HEIGHT]):
        tally = Tally()
        tally.mended["image sizes exchanged"] = exchanged
        assert table(path, tally=tally).size.tolist() == [size, size]


def test_evaluation_goes_by_groups_of_equal_sizes(many):
    data = dataset(many, scales=(0.5, 1, 2), multiple=32)
    groups = data.groups()
    assert sorted(np.concatenate(groups).tolist()) == list(range(6)) and len(groups) == 3
    for group in groups:
        batch = default_collate([data[0, int(index)] for index in group])
        height, width = batch.image.shape[-2:]
        assert batch.index.tolist() == (group + 10).tolist() and batch.mask.shape == batch.image[:, 0].shape
        assert min(height, width) == 64
        # Without 1, the largest first.
        assert [other.shape[-2:] for other in batch.others] == [(2 * height, 2 * width), (height // 2, width // 2)]
        assert {tuple(size) for index in group for size in data.sizes(int(index))[:1]} == {(height, width)}
    training = dataset(many, SceneAugment())
    assert [group.tolist() for group in training.groups()] == [list(range(6))]
    assert [path.name for path in data.paths()] == [f"{number}.png" for number in range(6)]
    single = dataset(many, scales=[0.5], multiple=32)
    assert single[0, 0].image.shape == (3, 32, 64) and not single[0, 0].others


def test_a_network_sees_all_of_an_image_in_its_middle():
    for width, height in (640, 480), (427, 640), (333, 500), (612, 612):
        size = padded_size(width, height, 512)
        for align in ALIGNMENTS:
            region = scene_region(width, height, size, align)
            matrix = crop_matrix(region.centre, region.extent, size, align)
            corners = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]) + 0.5 * (align == "corner")
            if align in ("edge", "dark"):
                corners += [[0.5, 0.5], [-0.5, -0.5]]
            (left, top), (right, bottom) = corners @ matrix[:, :2].T + matrix[:, 2]
            # The input's own border is where the image's shorter side begins and ends.
            low, high = {"corner": (0, 0), "centre": (-0.5, -0.5)}.get(align, (0, -1))
            side = (left, right - size.width) if width < height else (top, bottom - size.height)
            assert side == pytest.approx((low, high), abs=1e-9)
            middle = np.array([left + right, top + bottom]) / 2
            np.testing.assert_allclose(middle, (np.array(size[::-1]) - (align != "corner")) / 2)
            region = scene_region(width, height, size, align, "first")
            matrix = crop_matrix(region.centre, region.extent, size, align)
            np.testing.assert_allclose(corners[0] @ matrix[:, :2].T + matrix[:, 2], low, atol=1e-9)
    # A side that is a multiple of 64 exactly stays; in floating point it would be 896.0000000001.
    assert padded_size(75, 525, 128) == (896, 128)


def test_an_augmentation_for_persons_is_refused_unless_it_does_nothing(many, drawn):
    with pytest.raises(InputError, match="augment=scenes"):
        dataset(many, Augment(flip=0.5))
    with pytest.raises(InputError, match="augment=scenes is for whole images"):
        PoseDataset(drawn, THREE, SIZE, augment=SceneAugment())
    item = dataset(many, Augment())[0, 1]
    corners = (
        np.array([[-0.5, -0.5], [59.5, 89.5]]) @ item.crop.matrix[:, :2].numpy().T + item.crop.matrix[:, 2].numpy()
    )
    np.testing.assert_allclose(corners, [[-0.5, -16.5], [63.5, 79.5]])


def test_views_are_as_random_as_stated():
    rng, augment = np.random.default_rng(0), SceneAugment()
    regions = [augment.region(rng, 640, 480, SIZE, "centre") for _ in range(3000)]
    side = np.array([region.extent[0] for region in regions])
    assert side.min() == pytest.approx(360, abs=2) and side.max() == pytest.approx(720, abs=2)
    assert side.mean() == pytest.approx(540, abs=6)
    move = (np.array([region.centre for region in regions]) - [319.5, 239.5]) / side[:, None]
    assert np.abs(move).max() == pytest.approx(0.2, abs=1e-3) and np.abs(move.mean(0)).max() < 0.01
    angle = np.array([region.rotation for region in regions])
    assert np.abs(angle).max() == pytest.approx(30, abs=0.1) and abs(angle.mean()) < 1
    assert np.mean([region.flip for region in regions]) == pytest.approx(0.5, abs=0.03)
    wide = SceneAugment((1, 1), "long", 0, 0, flip=0).region(rng, 640, 480, Size(32, 64), "corner")
    assert (wide.centre.tolist(), wide.extent.tolist(), wide.rotation, wide.flip) == ([320, 240], [1280, 640], 0, False)
    whole = SceneAugment(translation=1e-3, whole_px=True).region(rng, 640, 480, SIZE, "corner")
    assert whole.centre.tolist() == [320, 240]


def test_the_cache_and_the_order_of_channels_are_those_of_crops(many, tmp_path):
    plain, options = dataset(many, scales=(2, 1), multiple=32), {"scales": (2, 1), "multiple": 32}
    for _ in range(2):
        cached = dataset(many, cache=ImageCache(tmp_path, 1), **options)
        assert_same(cached[0, 0], plain[0, 0])
    assert torch.equal(dataset(many, bgr=True, **options)[0, 0].image.flip(0), plain[0, 0].image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": (2, 0.5)}, "lack 1"),
        ({"scales": ()}, "different numbers above 0"),
        ({"scales": (1, -1)}, "different numbers above 0"),
        ({"scales": ("a",)}, "different numbers above 0"),
        ({"scales": (1, 1)}, "different numbers above 0"),
        ({"scales": (1, 0.75)}, "no multiples of the smallest"),
        ({"multiple": 0}, "multiple=0"),
        ({"centre": "middle"}, "scenes.centre='middle'"),
        ({"rounding": "down"}, "scenes.rounding='down'"),
    ],
)
def test_impossible_options_are_refused(many, options, message):
    with pytest.raises(InputError, match=message):
        dataset(many, **options)


def test_impossible_augmentations_are_refused():
    for wrong in {"scale": [1.5, 0.5]}, {"scale": 2}, {"side": "wide"}, {"flip": 2}, {"rotation": -1}:
        with pytest.raises(InputError, match=next(iter(wrong))):
            SceneAugment(**wrong)
