"""Bottom-up predictions against the official code, from raw outputs to maps and from maps to AP."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from poserep.codecs import UDPDARK, Adjust, AssociativeEmbedding, Heatmap, SRHeatmap, TagParser
from poserep.codecs.associative_embedding import SceneMaps
from poserep.data import load_coco
from poserep.files import write_json
from poserep.geometry import Crop, Size, crop_matrix
from poserep.instances import Truth
from poserep.metrics.coco import COCO_VALUES, CocoAP
from poserep.skeleton import COCO
from poserep.training.gather import Gather
from reference.vectors import arrays, full

STAGES = {
    "sr": {"heatmap": partial(SRHeatmap, scale=1)},
    "simple": {"heatmap": partial(Heatmap, stride=4)},
    "higher": {"coarse": partial(Heatmap, stride=4), "fine": partial(Heatmap, stride=2)},
}
CODE = {"score": "published", "bounds": "published", "flip_shift": 0, "readouts": {"adjust": Adjust(offset=0.5)}}


def raw(seed: int, shape: tuple[int, ...]) -> Tensor:
    """A network's output in these vectors, which follows from a seed."""
    return torch.from_numpy(np.random.default_rng(seed).integers(-64, 129, (1, *shape)).astype(np.float32) / 64)


@pytest.mark.parametrize("path", full("bu_aggregate_a"))
def test_maps_of_flips_stages_and_scales_are_the_official_codes(path):
    v, compared = arrays(path), 0
    for n in range(30):
        case = {key[4:]: value for key, value in v.items() if key.startswith(f"c{n:02d}_")}
        flip, project, udp = case["flip_project_udp"].tolist()
        scales = sorted(case["scales"].tolist(), reverse=True)
        # Without projection the published size is that of the largest scale, ours that of scale 1; and a scale other
        # than 1 alone is the network's input here, to whose size maps are projected.
        if 1.0 not in scales or (len(scales) > 1 and not project):
            continue
        compared += 1
        codec = AssociativeEmbedding(
            "64x64", STAGES[str(case["head"])], align="edge" if udp else "corner", project=bool(project), **CODE
        )
        outs: dict[tuple[int, int], list[Tensor]] = {}
        for at, mirrored, _, seed, *shape in case["raw_seeds"].tolist():
            outs.setdefault((at, mirrored), []).append(raw(seed, tuple(shape)))
        made = {key: tuple(stages) if len(stages) > 1 else stages[0] for key, stages in outs.items()}
        views = [made[at, 0] for at in range(len(scales))]
        if flip:
            perm = COCO.flip_perm()
            views = [codec.merge(view, made[at, 1], perm) for at, view in enumerate(views)]
        one = scales.index(1.0)
        maps = codec.projected(codec.maps_of(codec.aggregate([views[one], *views[:one], *views[one + 1 :]])))
        for ours, name in ((maps.heat[0], "heat"), (maps.tags[0], "tag")):
            assert list(ours.shape) == case[f"{name}_shape"].tolist()
            theirs = torch.from_numpy(case[name]).flatten()
            torch.testing.assert_close(ours.flatten()[:: int(case[f"{name}_stride"])], theirs, atol=2e-6, rtol=0)
    assert compared == 24


def truth(v: dict, folder, of: str = "") -> Truth:
    """The annotated persons of the vectors' scenes as a file, and how they are scored; ``udp_`` has its own."""
    people = [
        {
            "id": int(v["gt_id"][i]),
            "image_id": int(v["gt_image_id"][i]),
            "category_id": 1,
            "iscrowd": int(v["gt_iscrowd"][i]),
            "num_keypoints": int(v["gt_num_keypoints"][i]),
            "keypoints": v[f"{of}gt_keypoints"][i].tolist(),
            "bbox": v[f"{of}gt_bbox"][i].tolist(),
            "area": float(v[f"{of}gt_area"][i]),
        }
        for i in range(len(v["gt_id"]))
    ]
    images = [
        {"id": n, "file_name": f"{n}.jpg", "width": int(w), "height": int(h)}
        for n, (w, h) in enumerate(v["gt_image_wh"], 1)
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO.names)}
    file = folder / "truth.json"
    write_json(file, {"images": images, "annotations": people, "categories": [category]})
    return Truth(load_coco(file, folder, COCO, skip_invalid=True), COCO, file, Size(64, 64))


# UDP's readout blurs the maps in place and takes their logarithm, whose values below 0 fill no missing joint.
VARIANTS = {
    "sr": {},
    "srk11": {"kernel": 11},
    "norefine": {"fill": False},
    "hi": {},
    "udp": {"fill": False},
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("path", full("bu_end_to_end_a"))
def test_from_maps_to_people_in_image_px_and_ap(path, name, tmp_path):
    v, perm, gather = arrays(path), slice(None), Gather()
    udp = name == "udp"
    align, readouts = ("edge", {"udp": UDPDARK(kernel=3)}) if udp else ("corner", CODE["readouts"])
    scorer = CocoAP(truth(v, tmp_path, "udp_" if udp else ""))
    for s in range(int(v["n_scenes"])):
        width, height = v[f"s{s}_base_wh"].tolist()
        parser = TagParser(**VARIANTS[name], rules="published")
        options = {**CODE, "align": align, "readouts": readouts}
        codec = AssociativeEmbedding(Size(height, width), STAGES["sr"], parser=parser, **options)
        heat = torch.from_numpy((v[f"s{s}_heat_u16"] / np.float32(65536)).astype(np.float32))
        tags = torch.from_numpy((v[f"s{s}_tag_i16"] / np.float32(1024)).astype(np.float32))
        people = codec.decode(SceneMaps(heat[None], tags[None], Size(height, width)))
        # UDP's is the distance of the outer px, others' in units of 200 px.
        extent = v[f"s{s}_{name}_scale"] + 1 if udp else v[f"s{s}_{name}_scale"] * 200
        matrix = torch.from_numpy(crop_matrix(v[f"s{s}_{name}_center"], extent, Size(height, width), align))[None]
        gather.update(torch.tensor([s + 1]), Crop(matrix), people, perm)
        final = torch.from_numpy(v[f"s{s}_{name}_final"])[: int(v[f"s{s}_{name}_n"])]
        assert len(people.row) == len(final)
        found = people.score > 0
        assert torch.equal(people.score, torch.from_numpy(v[f"s{s}_{name}_people"])[..., 2])
        ours = Crop(matrix.expand(len(final), -1, -1)).to_image(people.xy) if len(final) else people.xy
        if udp:
            # Its blur mirrors the map at the border, where ours, mmpose 1.x's, takes zeros.
            found &= ((people.xy > 1.5) & (people.xy < torch.tensor([width, height]) - 2.5)).all(-1)
            assert found.sum() >= 0.9 * (people.score > 0).sum()
        torch.testing.assert_close(ours[found], final[..., :2][found], atol=2e-4, rtol=0)
        torch.testing.assert_close(people.person_score, torch.from_numpy(v[f"s{s}_{name}_scores"])[: len(final)])
    values = scorer(gather.predictions(0.0)).values
    # Unmatched people count for medium or large by all joints, missing ones too, which UDP's readout moves elsewhere.
    due = {key: 100 * value for key, value in zip(COCO_VALUES, v[f"{name}_stats"], strict=True)}
    compared = [key for key in COCO_VALUES if not udp or key not in ("AP_M", "AP_L")]
    assert [values[key] for key in compared] == pytest.approx([due[key] for key in compared], abs=1e-6)
