"""CrowdPose's files: names, areas, and widths and heights that are exchanged."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from poserep.data.loaders.crowdpose import load_crowdpose
from poserep.errors import InputError
from poserep.instances import Tally
from poserep.skeleton import CROWDPOSE

NAMES = list(CROWDPOSE.names)


def person(number: int, **changes) -> dict:
    fields = {"id": number, "image_id": 1, "category_id": 1, "bbox": [10, 20, 40, 70], "iscrowd": 0}
    return {**fields, "num_keypoints": 14, "keypoints": [30, 40, 2] * 14, **changes}


def write(folder, *persons, names=NAMES, size=(60, 100)):
    """A file with one image, of which it says that it is so wide and high."""
    image = {"id": 1, "file_name": "1.png", "width": size[0], "height": size[1], "crowdIndex": 0.5}
    categories = [{"id": 1, "name": "person", "keypoints": names}]
    path = folder / "crowdpose_val.json"
    path.write_text(json.dumps({"images": [image], "annotations": persons, "categories": categories}))
    return path


def draw(folder, width: int, height: int, orientation: int = 1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (width, height)).save(folder / "1.png", exif=exif)


def test_the_head_has_two_names_and_the_area_is_a_part_of_the_annotated_box(tmp_path):
    for head in ("head", "top_head"):
        path = write(tmp_path, person(5, bbox=[-10, 20, 50, 70], area=1.0), names=[*NAMES[:12], head, "neck"])
        (found,) = load_crowdpose(path, tmp_path, CROWDPOSE)
        assert found.box.tolist() == [0, 20, 40, 70] and found.area == pytest.approx(0.53 * 50 * 70)
    with pytest.raises(InputError, match="annotation 1 has a box without area"):
        load_crowdpose(write(tmp_path, person(1, bbox=[10, 20, -4, -7])), tmp_path, CROWDPOSE)
    path = write(tmp_path, person(5), names=[*NAMES[:12], "hat", "neck"])
    with pytest.raises(InputError, match="not those of skeleton 'crowdpose'"):
        load_crowdpose(path, tmp_path, CROWDPOSE)


def test_exchanged_sizes_are_mended_by_the_file_whatever_its_orientation(tmp_path):
    # In an image 60 px high nothing would be left of the lower part of the box.
    path = write(tmp_path, person(1), person(2), size=(100, 60))
    for orientation in (1, 6):
        draw(tmp_path, 60, 100, orientation)
        tally = Tally()
        persons = load_crowdpose(path, tmp_path, CROWDPOSE, tally=tally)
        assert [i.box.tolist() for i in persons] == [[10, 20, 40, 70]] * 2
        assert tally == Tally(2, mended=Counter({"image sizes exchanged": 1}))


def test_images_that_cannot_be_read_are_not_held_against_the_sizes(tmp_path):
    for _ in range(2):
        tally = Tally()
        (found,) = load_crowdpose(write(tmp_path, person(1), size=(100, 60)), tmp_path, CROWDPOSE, tally=tally)
        assert found.box.tolist() == [10, 20, 40, 40] and not tally.mended
        (tmp_path / "1.png").write_bytes(b"no image")


def test_images_of_another_size_are_refused_or_counted(tmp_path):
    draw(tmp_path, 64, 100)
    path = write(tmp_path, person(1))
    message = r"annotation 1 is on .*1\.png, which is 64 px wide and 100 high .* 60 and 100"
    with pytest.raises(InputError, match=message):
        load_crowdpose(path, tmp_path, CROWDPOSE)
    tally = Tally()
    with pytest.raises(InputError, match="no person"):
        load_crowdpose(path, tmp_path, CROWDPOSE, skip_invalid=True, tally=tally)
    assert tally.left_out == {"on images of another size": 1}


@pytest.mark.real
def test_real_annotations_and_photographs(real_data):
    folder = real_data / "crowdpose"
    tally = Tally()
    found = load_crowdpose(folder / "crowdpose_val.json", folder / "images", CROWDPOSE, tally=tally)
    assert tally == Tally(7074, Counter({"crowds": 106, "that the evaluation ignores": 1347}))
    assert all(i.area > 0 for i in found)
    tally = Tally()
    files = folder / "test_crowdpose.json", folder / "images", CROWDPOSE
    found = load_crowdpose(*files, tally=tally)
    assert all(i.image.is_file() for i in found) and not tally.mended
    assert np.isfinite([i.box for i in load_crowdpose(*files, folder / "test_crowdpose_det_AP_40.json")]).all()
