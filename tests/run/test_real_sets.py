"""Real files of every layout, from the command line's words to numbers."""

import json

import pytest

from poserep.errors import InputError
from poserep.runs.create import prepare
from poserep.training.build import build
from poserep.training.fit import fit

pytestmark = pytest.mark.real


def splits(annotations: str, images: str) -> list[str]:
    return [
        f"data.{s}.{k}={v}" for s in ("train", "val") for k, v in (("annotations", annotations), ("images", images))
    ]


SETS = {
    "coco_four": [
        "data=coco", *splits("test_coco.json", "images"), "data.detections=test_coco_det_AP_H_56.json",
        "augment=hrnet", "data.skip_invalid=true",
    ],
    "coco_mini": [
        "data=coco", "data.train.annotations=annotations/person_keypoints_train2017.json", "augment=dark", "align=dark",
        "data.val.annotations=annotations/person_keypoints_val2017.json", "data.clip=dark",
    ],
    "crowdpose": [
        "data=crowdpose", *splits("test_crowdpose.json", "images"), "data.detections=test_crowdpose_det_AP_40.json",
        "augment=srpose",
    ],
    # Head boxes of these photographs are not known.
    "mpii": [
        "data=mpii", *splits("test_mpii.json", "images"), "data.val.heads=null", "augment=mpii",
        "data.metric._target_=poserep.metrics.EPE",
    ],
    "lspet400": ["data=lspet", "augment=hrnet"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_real_files_train_and_evaluate(configure, real_data, name):
    cfg = configure(*SETS[name], f"data.root={real_data / name}", "trainer.batch=16")
    result = fit(prepare(cfg, "backbone"))
    boxes = ["gt", "det"] if "data.detections" in " ".join(SETS[name]) else ["gt"]
    assert list(result["metrics"]) == boxes
    assert result["protocol"]["gt"]["argmax"]["real"] and result["errors"]["gt"]["argmax"]["labelled"] > 10
    assert result["loaded"]["train"]["taken"] > 0
    json.dumps(result)


def test_mpii_without_head_boxes_names_the_remedy(configure, real_data):
    words = [w for w in SETS["mpii"] if "metric" not in w]
    with pytest.raises(InputError, match=r"heads"):
        build(configure(*words, f"data.root={real_data / 'mpii'}"), train=False)
