"""Crops and keypoints against the official data pipelines of HRNet and DarkPose, from image file to input."""

import hashlib

import cv2
import numpy as np
import pytest

from poserep.data.augment import CropRegion
from poserep.data.dataset import PoseDataset
from poserep.data.image_files import read_image
from poserep.geometry import Align, Size
from poserep.instances import Instance
from poserep.skeleton import COCO
from reference.vectors import Given, arrays, full

SIZE = Size(256, 192)
OFFICIAL: list[tuple[str, Align]] = [("hrnet_val", "corner"), ("hrnet_train", "corner"), ("dark_train", "dark")]


def crop(path, xy, weight, view, size, align):
    instance = Instance(path, 1, 1, np.array([0, 0, 0.5, 0.5]), xy.astype(np.float32), weight.astype(np.float32))
    sample = PoseDataset([instance], COCO, size, align, Given(views=(view,)))[0, 0]
    return sample.image.permute(1, 2, 0).numpy().astype(int), sample.xy.numpy()


@pytest.mark.real
@pytest.mark.parametrize("file", full("pipeline_getitem"))
@pytest.mark.parametrize(("mode", "align"), OFFICIAL)
def test_samples_are_those_of_the_official_dataset(file, mode, align, real_data):
    v = arrays(file)
    folder = real_data / "coco_mini/images/val2017"
    rows, columns = v["sample_yx"].T
    for i, image_id in enumerate(v["image_id"]):
        centre, extent = v[f"{mode}_c"][i].astype(float), v[f"{mode}_s"][i].astype(float) * 200
        angle, flip = float(v[f"{mode}_r"][i]), bool(v[f"{mode}_flip"][i])
        # The official code mirrors the image and then turns it, ours mirrors the crop: a mirrored turn is the
        # opposite one. Under "corner" the mirrored region lies about W / 2 but pixels mirror about (W - 1) / 2, so
        # that everything in the official crop is exactly 1 px further right.
        if flip:
            centre[0], angle = v["image_wh"][i, 0] - 1 - centre[0], -angle
        further = int(flip and align == "corner")
        path = folder / f"{image_id:012d}.jpg"
        labelled = v["src_vis"][i, :, 0] > 0
        view = CropRegion(centre, extent, angle, flip)
        image, xy = crop(path, v["src_joints"][i, :, :2], labelled, view, SIZE, align)
        known = columns >= further
        # Both interpolate with weights of 1/32 px in fixed point, from matrices that differ by up to 1e-3 px (see the
        # geometry vectors): 1 grey level at most, 2e-4 on average.
        difference = np.abs(image[rows, columns - further] - v[f"{mode}_crop_samples"][i])[known]
        assert difference.max() <= 1 and difference.mean() < 2e-3, (i, difference.max(), difference.mean())
        visible = v[f"{mode}_vis"][i, :, 0] > 0
        np.testing.assert_allclose(xy[visible] + [further, 0], v[f"{mode}_joints"][i, visible, :2], atol=1e-3)


@pytest.mark.real
@pytest.mark.parametrize("file", full("pipeline_getitem"))
def test_photographs_are_decoded_as_there(file, real_data):
    v = arrays(file)
    hashes = dict(zip(v["image_id"].tolist(), v["decoded_bgr_sha1"].tolist(), strict=True))
    for image_id, expected in hashes.items():
        image = read_image(real_data / f"coco_mini/images/val2017/{image_id:012d}.jpg")
        assert hashlib.sha1(np.ascontiguousarray(image[..., ::-1])).hexdigest() == expected


@pytest.mark.parametrize("file", full("pipeline_warp"))
@pytest.mark.parametrize(("code", "align"), [("hrnet", "corner"), ("mm", "corner"), ("dark", "dark")])
def test_crops_of_small_images_are_the_official_ones(file, code, align, tmp_path):
    v = arrays(file)
    for i, image in enumerate(v["images"]):
        path = tmp_path / f"{i}.png"
        cv2.imwrite(str(path), image[..., ::-1])
        view = CropRegion(v["center"][i].astype(float), v["scale"][i].astype(float) * 200, float(v["rot"][i]))
        ours, _ = crop(path, np.zeros((17, 2)), np.zeros(17), view, Size(64, 48), align)
        difference = np.abs(ours - v[f"crop_{code}"][i])
        # As above; two values of all the crops' differ, by 1.
        assert difference.max() <= 1 and difference.mean() < 3e-4
