"""Skeletons: COCO's constants, mirroring, files, and what a wrong file is told."""

import json

import numpy as np
import pytest
import torch
import yaml
from pycocotools.cocoeval import Params

from poserep.errors import InputError
from poserep.skeleton import COCO, CROWDPOSE, HUMAN4D, MPII, Skeleton
from reference.vectors import listed

BASE, WRONG = listed("wrong_skeletons").values()


def test_coco_is_that_of_pycocotools_and_of_its_annotation_files():
    np.testing.assert_allclose(COCO.sigmas, Params("keypoints").kpt_oks_sigmas, rtol=1e-12)
    assert COCO.num_keypoints == 17 and COCO.names[0] == "nose" and COCO.names[-1] == "right_ankle"
    # The category's `skeleton`, 1-based.
    assert [(a + 1, b + 1) for a, b in COCO.edge_indices()] == [
        (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9),
        (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
    ]  # fmt: skip
    assert COCO.upper_mask().tolist() == [True] * 11 + [False] * 6
    assert COCO.flip_perm().tolist() == [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def test_mirroring_twice_changes_nothing():
    for skeleton in (COCO, CROWDPOSE, HUMAN4D, MPII, Skeleton.from_category(BASE)):
        perm = skeleton.flip_perm()
        assert torch.equal(perm[perm], torch.arange(skeleton.num_keypoints))
        sigmas = np.array(skeleton.sigmas)
        np.testing.assert_array_equal(sigmas[perm.numpy()], sigmas)


def test_files_are_read_and_named(tmp_path):
    for suffix in ("yml", "json"):
        path = tmp_path / f"robot.{suffix}"
        path.write_text(json.dumps(BASE) if suffix == "json" else yaml.safe_dump(BASE))
        skeleton = Skeleton.from_file(path)
        assert skeleton.name == "robot" and skeleton.names == tuple(BASE["keypoints"])
        assert skeleton.edge_indices() == [(0, 1), (0, 2), (1, 3), (2, 4)]
        assert skeleton.upper_mask().tolist() == [True, True, True, False, False]


def test_sigmas_and_limbs_may_be_given_by_name():
    by_name = dict(zip(BASE["keypoints"][::-1], BASE["sigmas"][::-1], strict=True))
    assert Skeleton.from_category({**BASE, "sigmas": by_name}) == Skeleton.from_category(BASE)
    assert Skeleton.from_category({**BASE, "edges": [["nose", "left_hand"]]}).edge_indices() == [(0, 1)]


def test_wrong_skeletons_are_refused_with_what_is_wrong():
    for change, message in WRONG:
        with pytest.raises(InputError, match=rf"skeleton 'robot'.*{message}"):
            Skeleton.from_category({**BASE, "name": "robot", **change})


def test_missing_and_malformed_files_are_refused_by_name(tmp_path):
    for name, text, message in (
        ("list.yaml", "- nose\n", "must hold one mapping"),
        ("cut.json", '{"keypoints": ["no', "cut.json"),
        ("tabs.yaml", "keypoints:\n\t- nose\n", "tabs.yaml"),
        ("none.yaml", None, r"none\.yaml does not exist"),
    ):
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=message):
            Skeleton.from_file(tmp_path / name)
