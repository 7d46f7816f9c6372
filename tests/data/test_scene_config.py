"""Configurations whose representation takes whole images: what is loaded, what is refused, what is drawn."""

import json

import pytest
import torch

from poserep.config import make
from poserep.data.check.preview import preview_rows, write_preview
from poserep.data.coco_file import _parse
from poserep.data.common_joints import common_joints
from poserep.data.from_config import boxes_of, dataset_of, instances_of, root_of, skeleton_of, truth_of
from poserep.data.scenes import SceneDataset
from poserep.data.split_pictures import _used
from poserep.errors import InputError
from poserep.instances import InstanceTable, Tally

SCENES = (
    "+representation.scenes={_target_: poserep.data.scenes.SceneDataset, _partial_: true, multiple: 32, scales: [1]}"
)
WORDS = ("representation=bottomup", SCENES, "augment=scenes")


def loaded(cfg, split="val", **options):
    skeleton, root, tally = skeleton_of(cfg), root_of(cfg), Tally()
    persons = instances_of(cfg, split, skeleton, root, boxes_of(cfg)[0], tally)
    augment = make(cfg.augment) if split == "train" else None
    return dataset_of(cfg, persons, skeleton, augment, split, root, tally), persons, tally


def test_whole_images_take_the_place_of_crops(configure):
    cfg = configure(*WORDS)
    assert boxes_of(cfg) == ["scene"]
    for split in "train", "val":
        data, persons, _ = loaded(cfg, split)
        assert isinstance(data, SceneDataset) and data.multiple == 32 and data.seed == cfg.seed
        assert sorted(p.id for p in data.instances) == sorted(p.id for p in persons)
        assert data.scenes.image_id.tolist() == sorted({p.image_id for p in persons})
    truth = truth_of(cfg, data.instances, skeleton_of(cfg), root_of(cfg))
    assert truth.instances is data.instances and isinstance(truth.instances, InstanceTable)
    limited, _, _ = loaded(configure(*WORDS, "trainer.limit=2"))
    assert len(limited) == 2


def test_a_file_is_parsed_once_for_persons_masks_and_truth(configure):
    cfg = configure(*WORDS)
    _parse.cache_clear()
    data, _, _ = loaded(cfg)
    common_joints(cfg, root_of(cfg))
    truth = truth_of(cfg, data.instances, skeleton_of(cfg), root_of(cfg))
    assert make(cfg.data.metric, truth).persons()[0]
    assert _parse.cache_info().misses == 1


@pytest.mark.parametrize("name", ["coco", "crowdpose"])
def test_the_public_layouts_have_whole_images(copy, configure, name):
    root, cfg = copy(name)
    cfg = configure(f"data={name}", f"data.root={root}", *WORDS)
    data, persons, tally = loaded(cfg)
    listed = json.loads((root / cfg.data.val.annotations).read_text())
    assert len(data) == len({image["id"] for image in listed["images"]}) and len(data.instances) == len(persons)
    for index in range(len(data)):
        item = data[0, index]
        assert item.image.shape[1:] == item.mask.shape and item.mask.any()
    unlearnt = {a["image_id"] for a in listed["annotations"] if a["iscrowd"] or not a["num_keypoints"]}
    masked = {data.scenes.image_id[i] for i in range(len(data)) if not data.scenes.learnable(i).all()}
    assert masked and masked <= unlearnt, tally.line()
    assert [path.name for path in _used(configure(f"data={name}", f"data.root={root}", *WORDS, "trainer.limit=1"),
                                        "val", root)] == [data.paths()[0].name]  # fmt: skip


def test_what_whole_images_cannot_do_is_refused(configure, tiny_sets):
    with pytest.raises(InputError, match=r"boxes=\['gt'\]: representation=bottomup .*AP_scene.*set boxes=null"):
        boxes_of(configure(*WORDS, "boxes=[gt]"))
    assert boxes_of(configure(*WORDS, "boxes=[scene]")) == ["scene"]
    # Test images have nobody annotated, and are predicted all the same.
    assert boxes_of(configure("data=coco", *WORDS, "+data.labelled=false")) == ["scene"]
    for name in "mpii", "human4d":
        with pytest.raises(InputError, match=f"annotations in COCO's format; those of data={name} have another"):
            loaded(configure(f"data={name}", f"data.root={tiny_sets[name]}", *WORDS))
    with pytest.raises(InputError, match="augment=scenes"):
        loaded(configure(*WORDS, "augment=hrnet"), "train")
    with pytest.raises(InputError, match="augment=scenes is for whole images"):
        loaded(configure("augment=scenes"), "train")


def test_previews_show_whole_images(configure, tmp_path):
    rows = preview_rows(configure(*WORDS), "train", 2, 0)
    assert [row.crops[0].image.shape for row in rows] == [torch.Size([3, 64, 64])] * 2 and len(rows[0].crops) == 4
    assert write_preview(configure(*WORDS), tmp_path / "a.png", "val", 2, 0, "scenes") == (2, 1)
    assert (tmp_path / "a.png").stat().st_size > 1000
