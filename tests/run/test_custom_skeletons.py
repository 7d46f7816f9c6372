"""Any number of joints, from one YAML file."""

import json

import numpy as np
import pytest
import yaml

from poserep.report.study import write_report


def names(count):
    return [f"{side}_{i}" for i in range(count // 2) for side in ("left", "right")] + ["middle"] * (count % 2)


@pytest.fixture
def crowd(synthetic, tmp_path):
    """Writes the tiny data set with that many random joints in every box, and a skeleton file for them."""
    folder = next(synthetic.glob("easy-8-6-*"))

    def make(count):
        rng = np.random.default_rng(count)
        for split in ("train", "val"):
            data = json.loads((folder / f"annotations/{split}.json").read_text())
            data["categories"] = [{"id": 1, "name": "person", "keypoints": names(count)}]
            for annotation in data["annotations"]:
                x, y, w, h = annotation["bbox"]
                points = rng.uniform((x, y), (x + w - 1, y + h - 1), (count, 2))
                annotation["keypoints"] = [v for point in points.tolist() for v in (*point, 2)]
                annotation["num_keypoints"] = count
            (tmp_path / f"{split}.json").write_text(json.dumps(data))
        skeleton = {"keypoints": names(count), "sigmas": [0.05] * count, "upper": names(count)[: count // 2]}
        skeleton["pairs"] = [[f"left_{i}", f"right_{i}"] for i in range(count // 2)]
        (tmp_path / "skeleton.yaml").write_text(yaml.safe_dump(skeleton))
        return [
            "data=lspet", f"data.root={tmp_path}", f"data.skeleton={tmp_path}/skeleton.yaml",
            f"data.train.images={folder}/images/train", f"data.val.images={folder}/images/val",
        ]  # fmt: skip

    return make


def test_any_number_of_joints_trains_and_reports(run, crowd):
    for count, representation in (1, "heatmap"), (133, "simcc"):
        words = [f"representation={representation}", "augment=hrnet", f"study=joints{count}"]
        run_dir, result = run(*crowd(count), *words)
        readout = next(iter(result["metrics"]["gt"]))
        assert len(result["errors"]["gt"][readout]["joints"]) == count
        with np.load(run_dir / "predictions.npz") as file:
            assert file[f"gt/{readout}/xy"].shape == (6, count, 2)
    assert write_report(run_dir.parent).is_file()
