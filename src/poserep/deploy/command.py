"""The commands ``poserep export``, ``predict`` and ``cost``; what they need is imported once arguments are read."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from poserep.cli import add_origin, parser_of
from poserep.errors import Failed, InputError
from poserep.files import write_json

EXPORT = """Write a run's network, flip test and readout as one ONNX file, from bytes to coordinates, and check it.

Overrides are written as for poserep evaluate. The file takes image (B, 3, height, width), uint8, RGB, any B, and gives
xy (B, K, 2) in input px and score (B, K). PyTorch and ONNX Runtime then read the same crops, the run's own evaluation
crops if its data are there, else drawn people; if they differ by more than 0.05 px or 0.001 in score, no file is left.

Of a bottom-up run the file takes whole images, any height and width that the run's multiple (64 px) divides, and gives
maps (B, K, h, w) and tags (B, K, h, w, L), in which people are found outside, see docs/deploy.md. They may differ by
0.0001 of the greatest value.

A FILE.safetensors gets the weights alone, to be shared: config.yaml and a model card (README.md) are written beside it,
so give it a folder of its own. With --hub a ViTPose has the names of Hugging Face's Transformers, and a config.json.

example: poserep export runs/demo/heatmap-... dark.onnx readout=dark checkpoint=calibrated flip_test=false --check 500
         poserep export runs/demo/heatmap-vitpose_s-... shared/model.safetensors --hub
"""
PREDICT = """Find the joints of people in photographs and videos, and draw them.

Without boxes the whole image is taken for one person's box; bottom-up models find all people of the whole image and
take no boxes. Files of boxes are COCO results (image_id is the image's name without ending, or the number of a video's
frame), or objects with images and annotations. Writes a picture or video for each file, and keypoints.json in COCO's
result format; image_id of a single video is the frame's number from 0 on, of one of several files VIDEO/FRAME.
Photographs are read as annotations see them, without EXIF orientation.

example: poserep predict photo.jpg --model dark.onnx --boxes 40,20,120,300
"""
COST = """Count a network: parameters by part, multiply-accumulates, memory of activations, and if asked time it.

Overrides are written as for training, or after a run directory as for poserep evaluate. Neither data nor weights are
needed. Multiply-accumulates are for one image of one pass, flip test not included. How the papers count is in
make reproduce-cost.

example: poserep cost backbone=hrnet_w32 representation=simcc size=256x192 --time
         poserep cost runs/demo/heatmap-... --json cost.json
"""


def export_parser() -> argparse.ArgumentParser:
    """Return the parser of ``poserep export``."""
    parser = parser_of("export", EXPORT)
    add = parser.add_argument
    add("run", type=Path, metavar="RUN_DIR", help="directory of a trained run")
    add("words", nargs="*", default=[], metavar="FILE | key=value", help="file (.onnx, .safetensors), and settings")
    add("--hub", action="store_true", help="name a ViTPose's weights as Hugging Face's Transformers do")
    add("--check", type=int, default=16, metavar="N", help="number of crops or whole images to compare on (16)")
    return parser


def export_command(arguments: Sequence[str]) -> None:
    """Run ``poserep export``."""
    given = export_parser().parse_intermixed_args(arguments)
    files = [Path(word) for word in given.words if "=" not in word]
    overrides = [word for word in given.words if "=" in word and not word.startswith("readout=")]
    readouts = [word.removeprefix("readout=") for word in given.words if word.startswith("readout=")]
    if len(files) > 1:
        raise InputError(f"expected one file to write, got {', '.join(map(str, files))}; leave all but one out")
    weights = bool(files) and files[0].suffix == ".safetensors"
    if given.hub and not weights:
        raise InputError("--hub is about weights: name a file whose name ends in .safetensors")
    from poserep.deploy.export import export
    from poserep.deploy.weights import export_weights
    from poserep.training.evaluate import configure
    from poserep.training.trainer import quiet

    quiet()
    cfg, readout = configure(given.run, overrides), readouts[-1] if readouts else None
    if weights:
        export_weights(given.run, cfg, files[0], readout, given.hub)
    else:
        export(given.run, cfg, files[0] if files else None, readout, given.check)


def predict_parser() -> argparse.ArgumentParser:
    """Return the parser of ``poserep predict``."""
    parser = parser_of("predict", PREDICT)
    add = parser.add_argument
    add("images", nargs="+", type=Path, metavar="IMAGE", help="photographs, videos, or folders of them")
    add("--model", type=Path, required=True, metavar="RUN_DIR|FILE.onnx", help="trained run, or exported file")
    add("--boxes", nargs="+", default=[], metavar="FILE.json|x,y,w,h", help="boxes of people (the whole image)")
    add("--out", type=Path, default=Path("predictions"), metavar="DIR", help="folder to write to (predictions)")
    add("--checkpoint", metavar="NAME", help="checkpoint of a run: last, best or calibrated (last)")
    add("--readout", metavar="NAME", help="readout (the default one of the run)")
    add("--score-threshold", type=float, metavar="S", help="score above which a joint is drawn full (the model's)")
    add("--category", type=int, default=1, metavar="ID", help="category of the boxes to take (1)")
    add("--box-threshold", type=float, default=0.0, metavar="S", help="least score of the boxes to take (0)")
    add("--device", choices=["cpu", "cuda"], default="cpu", help="device to predict on (cpu)")
    add("--batch", type=int, metavar="N", help="number of crops at a time (32), or of whole images (4)")
    add("--range", metavar="LOW,HIGH", help="values that become black and white in images of more than 8 bits")
    add("--upright", action="store_true", help="turn photographs as their EXIF orientation says; boxes are on these")
    return parser


def predict_command(arguments: Sequence[str]) -> None:
    """Run ``poserep predict``; it fails if an image or a box could not be read."""
    given = predict_parser().parse_args(arguments)
    if given.batch is not None and given.batch < 1:
        raise InputError(f"--batch {given.batch} must be at least 1 crop")
    from poserep.deploy.box_arguments import read_boxes
    from poserep.deploy.inference import open_model
    from poserep.deploy.media import media_given
    from poserep.deploy.predict import predict
    from poserep.training.trainer import quiet

    quiet()
    files = media_given(given.images)
    requests = read_boxes(given.boxes, given.category, given.box_threshold)
    for note in requests.notes:
        print(f"note: {note}", file=sys.stderr)
    model = open_model(given.model, given.readout, given.checkpoint, given.device)
    reading: dict[str, Any] = {"orientation": "upright"} if given.upright else {}
    reading |= {"range": given.range.split(",")} if given.range else {}
    model = model._replace(card=replace(model.card, **reading))
    batch = given.batch or (4 if model.card.scenes else 32)
    errors = predict(model, files, requests, given.out, given.score_threshold, given.category, batch)
    if errors:
        rest = "; the others are done" if (given.out / "keypoints.json").is_file() else ""
        raise Failed(f"{len(errors)} {'files or boxes' if len(errors) > 1 else 'file or box'} could not be read{rest}")


def cost_command(arguments: Sequence[str]) -> None:
    """Run ``poserep cost``."""
    parser = parser_of("cost", COST)
    add = parser.add_argument
    add("words", nargs="*", default=[], metavar="RUN_DIR | key=value", help="run to count, or settings of a network")
    add_origin(parser)
    add("--json", type=Path, metavar="FILE", help="write everything to a file as well")
    add("--batches", type=int, nargs="+", default=[1, 32], help="numbers of images at a time (1 32)")
    add("--time", action="store_true", help="time it, in every way that is available here")
    add("--ways", nargs="+", help="ways to time: eager, compiled, onnx (all)")
    add("--threads", type=int, nargs="+", help="numbers of CPU threads, 0 for all cores (1 0)")
    add("--device", help="device to time on, cpu or cuda (cpu)")
    add("--seconds", type=float, help="time for each way, batch and number of threads (5)")
    given = parser.parse_intermixed_args(arguments)
    from poserep.deploy.cost_sheets import cost

    record = cost(given)
    if given.json:
        write_json(given.json, record)
        print(f"written: {given.json}")
