"""Whole images against the official code of SRPose and HigherHRNet: sizes, regions, matrices, joints, masks, pixels."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from poserep.data import load_coco
from poserep.data.augment import CropRegion
from poserep.data.coco_file import read_coco
from poserep.data.image_files import read_image
from poserep.data.scene_augment import SceneAugment
from poserep.data.scene_geometry import padded_size, scene_region
from poserep.data.scene_table import scenes_of
from poserep.data.scenes import SceneDataset
from poserep.geometry import Crop, Size, crop_matrix
from poserep.instances import CocoForm, Tally
from poserep.skeleton import COCO
from reference.vectors import arrays, files, full

SRPOSE, UDP, HIGHER = ("exact", "corner", "round"), ("exact", "edge", "first"), ("float", "corner", "half_up")


@pytest.mark.parametrize("file", files("bu_sizes_a"))
def test_evaluation_inputs_have_the_official_sizes_and_regions(file):
    v = arrays(file)
    for row in v["table"]:
        (width, height), short, (scale, least) = v["wh"][int(row[0])].tolist(), int(row[1]), row[2:4]
        for (rounding, align, centre), (*wh, x, y, w, h) in zip(
            (SRPOSE, UDP, HIGHER), row[4:].reshape(3, 6), strict=True
        ):
            size = padded_size(width, height, short, 64, scale, least, rounding)
            assert size[::-1] == tuple(wh)
            region = scene_region(width, height, size, align, centre)
            # UDP's lengths are between the centres of the outer pixels.
            extent = np.array([w, h]) + 1 if align == "edge" else np.array([w, h]) * 200
            np.testing.assert_allclose(region.centre, [x, y], rtol=1e-12)
            np.testing.assert_allclose(region.extent, extent, rtol=1e-12)
            # An exact centre is the image's, within the half px by which the codes round.
            exact = scene_region(width, height, size, align).centre
            assert (np.abs(exact - [x, y]) <= 0.5).all() or align == "edge"


@pytest.mark.parametrize("file", files("bu_resize"))
def test_predictions_return_to_the_image_as_in_the_official_code(file):
    v = arrays(file)
    for row, centre, scale, final in zip(v["table"], v["center"], v["scale"], v["final"], strict=True):
        height, width, short = row[:3].astype(int).tolist()
        size = padded_size(width, height, short, 64, row[3], row[4], "float")
        assert size[::-1] == tuple(row[5:])
        region = scene_region(width, height, size, "corner", "half_up")
        assert (region.centre == centre).all()
        np.testing.assert_allclose(region.extent, scale * 200, rtol=1e-12)
        crop = Crop(torch.from_numpy(crop_matrix(region.centre, region.extent, size, "corner"))[None])
        ours = crop.to_image(torch.from_numpy(v["pts"][None, 0, :, :2]).double())[0].numpy()
        # Solved by cv2 from float32 points, and stored in float32.
        np.testing.assert_allclose(ours, final[:, :2], atol=1e-3)
        assert len(v["pts"]) == 30


@dataclass(frozen=True)
class Given(SceneAugment):
    """Regions as the official code has drawn them, in the order of items."""

    regions: Iterator[CropRegion] = field(default_factory=lambda: iter(()))

    def region(self, *_):
        return next(self.regions)


@dataclass
class Scenes:
    """The scenes of a file as the data of a run."""

    v: dict[str, np.ndarray]
    photographs: Path | None
    folder: Path

    def __post_init__(self):
        number, photographed = self.v["n_scenes"].item(), self.photographs is not None
        self.chosen = [n for n in range(number) if (f"s{n:02d}_source" in self.v) == photographed]
        content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
        content["categories"][0]["keypoints"] = list(COCO.names)
        for n in self.chosen:
            width, height = self.of(n, "image_wh").tolist()
            content["images"].append({"id": n, "file_name": str(n), "width": width, "height": height})
            for record in json.loads(self.of(n, "ann_json").tobytes()):
                content["annotations"].append(record | {"image_id": n, "id": len(content["annotations"]) + 1})
        path = self.folder / "scenes.json"
        path.write_text(json.dumps(content))
        tally = Tally()
        persons = load_coco(path, self.folder, COCO, tally=tally, clip="none", masks=True)
        self.table = scenes_of(read_coco(path, CocoForm(masks=True)), self.folder, persons, False, tally)
        assert not tally.mended

    def of(self, number: int, name: str) -> np.ndarray:
        return self.v[f"s{number:02d}_{name}"]

    def read(self, path: Path) -> np.ndarray:
        number = int(path.name)
        if self.photographs:
            split, name = str(self.of(number, "source")).split("/")
            return read_image(self.photographs / split / f"{int(name):012d}.jpg")
        x, y = np.meshgrid(*map(np.arange, self.of(number, "image_wh")))
        value = np.stack([2 * x + y, x + 3 * y + 100, 3 * x + 2 * y + 200], -1) % 510
        return np.minimum(value, 509 - value).astype(np.uint8)

    def items(self, side: int, stride: int = 1, udp: bool = False):
        """Yield number and item of each scene, as the official code has drawn it, with labels as on a map's stride."""
        regions, align = [], "edge" if udp else "corner"
        for n in self.chosen:
            wh, (factor, angle) = self.of(n, "image_wh"), self.of(n, "draw_factor_rot").tolist()
            extent = (max if self.of(n, "scale_long") else min)(wh) * factor + udp
            centre = (wh - udp) / 2 + self.of(n, "draw_dxdy")
            # UDP turns the other way.
            turn = -angle if udp else angle
            regions.append(CropRegion(centre, np.full(2, extent), turn, bool(self.of(n, "flip"))))
        augment, mirror = Given(regions=iter(regions)), 0 if udp else 1 - stride
        data = SceneDataset(self.table, COCO, Size(side, side), align, augment, read=self.read, mirror_px=mirror)
        for index, n in enumerate(self.chosen):
            yield n, data[0, index], regions[index].flip


@pytest.fixture(scope="module", params=full("bu_geometry_a"))
def vectors(request) -> dict[str, np.ndarray]:
    return arrays(request.param)


@pytest.fixture(scope="module", params=["made up", "photographs"])
def scenes(request, vectors, tmp_path_factory) -> Scenes:
    photographs = request.param == "photographs"
    folder = request.getfixturevalue("real_data") / "coco_mini/images" if photographs else None
    return Scenes(vectors, folder, tmp_path_factory.mktemp("scenes"))


def test_masks_and_people_are_the_official_ones(scenes):
    for index, n in enumerate(scenes.chosen):
        assert (scenes.table.learnable(index) == 255 * scenes.of(n, "mask")).all()
        xy, weight = scenes.table.labels(index)
        theirs = scenes.of(n, "joints")
        theirs = theirs[(theirs[..., 2] > 0).any(1)]
        if n == 11:
            # A crowd with keypoints is masked out, and learnt there all the same.
            assert len(theirs) == len(xy) + 1
            theirs = theirs[:-1]
        assert (weight == (theirs[..., 2] > 0)).all() and (xy[weight > 0] == theirs[weight > 0, :2]).all()


@pytest.mark.parametrize("side", [512, 128])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_training_inputs_are_the_official_ones(scenes, side, stride):
    bins, sample = side // stride, scenes.v["sample_yx"] * (side // 128)
    differing = {}
    for n, item, flip in scenes.items(side, stride):
        matrix = item.crop.matrix.numpy().copy()
        if flip:
            matrix[0] = [0, 0, side - 1] - matrix[0]
        # SRPose's are put together from float32.
        np.testing.assert_allclose(matrix, scenes.of(n, f"i{side}_hi_mat_input"), rtol=0, atol=1e-9)
        np.testing.assert_allclose(matrix, scenes.of(n, f"i{side}_sr_mat_input"), rtol=0, atol=1.6e-5)
        for code in ("hi", "sr"):
            theirs = scenes.of(n, f"i{side}_{code}_joints_{bins}")
            theirs = theirs[(theirs[..., 2] > 0).any(1)][: -1 if n == 11 else None]
            people, labelled = len(theirs), theirs[..., 2] > 0
            assert (item.weight[:people].numpy() == labelled).all() and not item.weight[people:].any()
            ours = item.xy[:people].numpy() / stride
            # Ours are annotated in float32, as SRPose's are, of up to 640 px, and handed on in float32.
            np.testing.assert_allclose(ours[labelled], theirs[labelled, :2], rtol=1e-6, atol=4.5e-5)
        mask = item.mask.numpy()[::stride, ::stride]
        theirs = {code: scenes.v.get(f"s{n:02d}_i{side}_{code}_mask_{bins}") for code in ("hi", "sr")}
        for code, their in theirs.items():
            # HigherHRNet's are kept where they differ from SRPose's.
            if count := int((mask != (theirs["sr"] if their is None else their)).sum()):
                differing[n, code] = count
        # The mirrored picture is warped as such there, whose fixed-point weights round to the other side.
        pixels = item.image.numpy()[:, sample[:, 0], sample[:, 1]].T.astype(int)
        assert np.abs(pixels - scenes.of(n, f"i{side}_sr_img_samples")).max() <= 1
    # One pixel from SRPose's float32, and one of a photograph as the mask is mirrored in the warp, not after it.
    single_precision = {(0, "sr"): 1} if side == 512 or stride == 1 else {}
    mirrored = {(12, "hi"): 1, (12, "sr"): 1} if (side, stride) == (512, 1) else {}
    assert differing == (mirrored if scenes.photographs else single_precision)


@pytest.mark.parametrize("side", [512, 128])
def test_training_inputs_of_udp_are_aligned_at_the_outer_pixels(scenes, side):
    for n, item, flip in scenes.items(side, udp=True):
        matrix, sample = item.crop.matrix.numpy().copy(), scenes.v["sample_yx"] * (side // 128)
        if flip:
            matrix[0] = [0, 0, side - 1] - matrix[0]
        np.testing.assert_allclose(matrix, scenes.of(n, f"i{side}_udp_mat_input"), rtol=0, atol=1.6e-5)
        # Smaller maps sample the mask between our pixels.
        assert (item.mask.numpy() == scenes.of(n, f"i{side}_udp_mask_{side}")).all()
        pixels = item.image.numpy()[:, sample[:, 0], sample[:, 1]].T.astype(int)
        assert np.abs(pixels - scenes.of(n, f"i{side}_udp_img_samples")).max() <= 1
        for bins in (side // 4, side // 2, side):
            theirs = scenes.of(n, f"i{side}_udp_joints_{bins}")
            theirs = theirs[(theirs[..., 2] > 0).any(1)][: -1 if n == 11 else None]
            labelled = theirs[..., 2] > 0
            ours = item.xy[: len(theirs)].numpy() * ((bins - 1) / (side - 1))
            np.testing.assert_allclose(ours[labelled], theirs[labelled, :2], rtol=1e-6, atol=4.5e-5)


class Bounds:
    """Stands for a generator, and keeps the bounds of whole numbers that are asked for."""

    def uniform(self, low, high, *_):
        return high

    def integers(self, low, high, *_):
        self.given = low, high
        return np.full(2, low)

    def random(self):
        return 1.0


def test_moves_by_whole_px_are_cut_as_officially(vectors):
    for extent, low, high in zip(*(vectors[f"randint_{name}"] for name in ("scale", "min", "max")), strict=True):
        rng, augment = Bounds(), SceneAugment(scale=(1, 1), whole_px=True)
        augment.region(rng, 10**9, extent, Size(64, 64), "corner")
        assert rng.given == (low, high + 1), extent
