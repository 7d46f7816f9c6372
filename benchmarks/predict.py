"""Images a second that ``poserep predict`` reads, estimates and draws, beside one image after the other.

Photographs are drawn scenes of 640x480 px with 2 to 8 people, networks are untrained: what is found does not matter to
the time of a model that takes boxes; one of whole images finds as many people as its threshold lets through. Both sides
write the same points, which is checked before anything is timed. One by one means a batch of one and nothing read
ahead, in the same process, so that no start counts.

    python benchmarks/predict.py --record
"""

import argparse
import contextlib
import io
import json
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch
from machine import processor, record
from rich.console import Console
from rich.table import Table
from stopwatch import race, spread

from poserep.config import compose
from poserep.data.from_config import skeleton_of
from poserep.data.image_files import read_image, write_jpeg
from poserep.data.synthetic import generate
from poserep.deploy import predict as prediction
from poserep.deploy.box_arguments import BoxRequests, read_boxes
from poserep.deploy.export import export
from poserep.deploy.inference import Estimator, open_model
from poserep.runs.create import prepare
from poserep.training.evaluate import configure
from poserep.training.module import PoseModule
from poserep.training.network import build_network

SIDES = 640, 480
BATCH = 32
MODELS = {
    "heatmaps of boxes": ["representation=heatmap", "backbone=resnet18", "size=128x96"],
    "whole images": [
        "representation=bottomup",
        "backbone=resnet18_s8",
        "input_size=128x128",
        "representation.codec.parser.threshold=0",
    ],
}


def photographs(folder: Path, count: int) -> tuple[list[Path], Path]:
    """Draw photographs, and write the boxes of their people beside them."""
    drawn = generate(folder, "scenes", 4 * count, 1)
    data = json.loads((drawn / "annotations/train.json").read_text())
    images = data["images"][:count]
    factor = {image["id"]: [SIDES[0] / image["width"], SIDES[1] / image["height"]] * 2 for image in images}
    paths = []
    for image in images:
        pixels = read_image(drawn / "images/train" / image["file_name"])
        paths.append(folder / image["file_name"])
        write_jpeg(paths[-1], cv2.resize(pixels, SIDES, interpolation=cv2.INTER_CUBIC))
    boxes = [
        {"image_id": Path(image["file_name"]).stem, "bbox": (np.array(a["bbox"]) * factor[image["id"]]).tolist()}
        for image in images
        for a in data["annotations"]
        if a["image_id"] == image["id"] and not a["iscrowd"]
    ]
    (folder / "boxes.json").write_text(json.dumps(boxes))
    return paths, folder / "boxes.json"


def models(folder: Path, overrides: Sequence[str]) -> dict[str, Estimator]:
    """Return an untrained network as PyTorch and as ONNX Runtime run it."""
    data = ["data.level=scenes", "data.prepare.train=8", "data.prepare.val=8", f"data.root={folder}/data"]
    cfg = compose([*overrides, *data, f"runs={folder}/runs", "flip_test=false"]).cfg
    run_dir, skeleton = prepare(cfg, "backbone").path, skeleton_of(cfg)
    torch.manual_seed(0)
    module = PoseModule(*build_network(cfg, skeleton), skeleton.flip_perm(), {}, cfg.readouts)
    (run_dir / "checkpoints").mkdir()
    torch.save({"state_dict": module.state_dict()}, run_dir / "checkpoints" / "last.ckpt")
    with contextlib.redirect_stdout(io.StringIO()):
        file = export(run_dir, configure(run_dir, []), check=2)
    return {"PyTorch": open_model(run_dir), "ONNX Runtime": open_model(file)}


def at_once(model: Estimator, paths: Sequence[Path], boxes: BoxRequests, out: Path) -> list[dict[str, Any]]:
    """Predict all photographs with one call and return the records."""
    with contextlib.redirect_stdout(io.StringIO()):
        prediction.predict(model, paths, boxes, out, batch=BATCH)
    return json.loads((out / "keypoints.json").read_text())


def one_by_one(model: Estimator, paths: Sequence[Path], boxes: BoxRequests, out: Path) -> list[dict[str, Any]]:
    """Predict one photograph after the other, one crop at a time, and return the records."""
    records = []
    with patch.object(prediction, "read_ahead", lambda items, _: items), contextlib.redirect_stdout(io.StringIO()):
        for path in paths:
            prediction.predict(model, [path], boxes, out, batch=1)
            records += json.loads((out / "keypoints.json").read_text())
    return records


def measure(count: int, rounds: int) -> list[dict[str, Any]]:
    """Check that both ways write the same, then time them."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        paths, file = photographs(folder, count)
        for title, overrides in MODELS.items():
            boxes = read_boxes([str(file)]) if title == "heatmaps of boxes" else BoxRequests()
            for runtime, model in models(folder, overrides).items():
                ways = {"slow": one_by_one, "fast": at_once}
                sides = {name: partial(way, model, paths, boxes, folder / name) for name, way in ways.items()}
                found = [np.array([record["keypoints"] for record in side()]) for side in sides.values()]
                if found[0].shape != found[1].shape or np.abs(found[0] - found[1]).max() > 0.1:
                    raise SystemExit(f"{title}, {runtime}: the two ways find different people; nothing was timed")
                times = {k: spread(v) for k, v in race({k: (side, 1) for k, side in sides.items()}, rounds).items()}
                ratio = times["slow"]["median"] / times["fast"]["median"]
                row = {"job": f"{title}, {runtime}", "people": len(found[0]), "images": count, "ratio": ratio}
                rows.append({**row, **{f"{name}_ms": times[name] for name in ways}})
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5, help="at least 2")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/predict-<device>.json")
    options = parser.parse_args(arguments)
    load, rows = os.getloadavg()[0], measure(options.images, options.rounds)
    table = Table(title=f"{options.images} photographs of 640x480 px, images a second: median \\[quartiles]")
    for heading in ("model", "people", "one by one", f"batches of {BATCH}", "ratio"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for row in rows:
        rates = [{k: 1000 * options.images / v for k, v in row[f"{way}_ms"].items()} for way in ("slow", "fast")]
        cells = [f"{r['median']:.1f} \\[{r['p75']:.1f}, {r['p25']:.1f}]" for r in rates]
        table.add_row(row["job"], str(row["people"]), *cells, f"{row['ratio']:.2f}")
    Console(width=120).print(table)
    if options.record:
        settings = {"images": options.images, "rounds": options.rounds, "threads": torch.get_num_threads()}
        print(f"written: {record('predict', processor(), settings, {'load_before': load, 'rows': rows})}")


if __name__ == "__main__":
    main()
