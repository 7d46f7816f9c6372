"""What coordinates and boxes seem to be if they are not px, and not x, y, width, height."""

import numpy as np
import pytest

from poserep.data import load_coco
from poserep.data.units import guess_detections, guess_units
from poserep.errors import InputError
from poserep.skeleton import COCO
from spoiling import edit


def persons(count: int = 20, seed: int = 0) -> list[np.ndarray]:
    """Boxes, joints, which of them are labelled, and sizes of images of people all over the images, px."""
    rng = np.random.default_rng(seed)
    size = rng.integers((320, 240), (640, 480), (count, 2)).astype(float)
    extent = size * rng.uniform(0.2, 0.5, (count, 2))
    start = (size - extent) * rng.random((count, 2))
    xy = start[:, None] + extent[:, None] * rng.random((count, 17, 2))
    labelled = rng.random((count, 17)) < 0.6
    labelled[:, 0] = True
    return [np.concatenate([start, extent], 1), xy, labelled, size]


def test_persons_in_px_are_nothing_strange():
    for seed in range(50):
        assert guess_units(*persons(seed=seed), 9) == guess_units(*persons(1, seed), 1) == ""
    box, xy, labelled, size = persons()
    # Boxes reach out of images, those of some hold no joint, all people stand in a corner.
    assert guess_units(box * [1, 1, 1.9, 1.9], xy, labelled, size, 9) == ""
    assert guess_units(np.where(np.arange(20)[:, None] < 8, [[1, 1, 2, 2]], box), xy, labelled, size, 9) == ""
    assert guess_units(box / 16, xy / 16, labelled, size, 9) == ""
    assert guess_units(box, xy, labelled & False, size, 9) == ""
    assert guess_units(box, xy, labelled, np.full((20, 2), np.inf), 9) == ""


@pytest.mark.parametrize("seed", range(5))
def test_units_of_detections_are_guessed(seed):
    box, _, _, size = persons(seed=seed)
    corners = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1)
    assert guess_detections(box, size, 9) == guess_detections(box * 1.9, size, 9) == ""
    assert "fractions" in guess_detections(box / np.concatenate([size, size], 1), size, 9)
    assert "corners x1, y1, x2, y2" in guess_detections(corners, corners[:, 2:] + 9, 9)


@pytest.mark.parametrize("seed", range(5))
def test_other_units_are_guessed(seed):
    box, xy, labelled, size = persons(seed=seed)
    twice = np.concatenate([size, size], 1)
    assert "fractions of the image" in guess_units(box / twice, xy / size[:, None], labelled, size, 9)
    assert "percent of the image" in guess_units(100 * box / twice, 100 * xy / size[:, None], labelled, size, 9)
    corners = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1)
    assert "corners x1, y1, x2, y2" in guess_units(corners, xy, labelled, corners[:, 2:] + 9, 9)
    assert "none of their joints" in guess_units(box * [0, 0, 0.1, 0.1], xy + 60, labelled, size, 9)


def test_a_file_in_other_units_is_refused_with_the_remedy(copy):
    def divide(content):
        sizes = {image["id"]: [image["width"], image["height"]] for image in content["images"]}
        for person in content["annotations"]:
            size = sizes[person["image_id"]]
            person["bbox"] = (np.array(person["bbox"]) / (2 * size)).tolist()
            person["keypoints"] = (np.reshape(person["keypoints"], (17, 3)) / [*size, 1]).ravel().tolist()

    path = copy()[0] / "annotations/person_keypoints_val2017.json"
    edit(path, divide)
    with pytest.raises(InputError, match=r"val2017\.json: coordinates seem to be fractions .* multiply x by its width"):
        load_coco(path, "images", COCO)
