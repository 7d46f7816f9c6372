"""Any number of joints, from one YAML file."""

import json

import numpy as np
import yaml

from poserep.report.study import write_report


def names(count):
    return [f"{side}_{i}" for i in range(count // 2) for side in ("left", "right")] + ["middle"] * (count % 2)


def crowd(source, folder, count):
    """Write the tiny data set with that many random joints in every box, and a skeleton file for them."""
    rng = np.random.default_rng(count)
    for split in ("train", "val"):
        data = json.loads((source / f"annotations/{split}.json").read_text())
        data["categories"] = [{"id": 1, "name": "person", "keypoints": names(count)}]
        for annotation in data["annotations"]:
            x, y, w, h = annotation["bbox"]
            points = rng.uniform((x, y), (x + w - 1, y + h - 1), (count, 2))
            annotation["keypoints"] = [v for point in points.tolist() for v in (*point, 2)]
            annotation["num_keypoints"] = count
        (folder / f"{split}.json").write_text(json.dumps(data))
    skeleton = {"keypoints": names(count), "sigmas": [0.05] * count, "upper": names(count)[: count // 2]}
    skeleton["pairs"] = [[f"left_{i}", f"right_{i}"] for i in range(count // 2)]
    (folder / "skeleton.yaml").write_text(yaml.safe_dump(skeleton))
    images = [f"data.{split}.images={source}/images/{split}" for split in ("train", "val")]
    return ["data=lspet", f"data.root={folder}", f"data.skeleton={folder}/skeleton.yaml", *images]


def test_any_number_of_joints_trains_and_reports(run, synthetic, tmp_path):
    source = next(synthetic.glob("easy-8-6-*"))
    for count, representation in (1, "heatmap"), (133, "simcc"):
        words = [f"representation={representation}", "augment=hrnet", f"study=joints{count}"]
        run_dir, result = run(*crowd(source, tmp_path, count), *words)
        readout = next(iter(result["metrics"]["gt"]))
        assert len(result["errors"]["gt"][readout]["joints"]) == count
        with np.load(run_dir / "predictions.npz") as file:
            assert file[f"gt/{readout}/xy"].shape == (6, count, 2)
    assert write_report(run_dir.parent).is_file()
