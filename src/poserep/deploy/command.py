"""The commands ``poserep export`` and ``poserep predict``; what they need is imported once their arguments are read."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from poserep.cli import parser_of
from poserep.errors import Failed, InputError


def export_parser() -> argparse.ArgumentParser:
    """Return the parser of ``poserep export``."""
    parser = parser_of(
        "export",
        """Write a run's network, flip test and readout as one ONNX file, from bytes to coordinates, and check it.

Overrides are written as for poserep evaluate. The file takes image (B, 3, height, width), uint8, RGB, any B, and gives
xy (B, K, 2) in input px and score (B, K). PyTorch and ONNX Runtime then read the same crops, the run's own evaluation
crops if its data are there, else drawn people; if they differ by more than 0.05 px or 0.001 in score, no file is left.

example: poserep export runs/demo/heatmap-... dark.onnx readout=dark checkpoint=calibrated flip_test=false --check 500
""",
    )
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument("words", nargs="*", metavar="FILE.onnx | key=value")
    parser.add_argument("--check", type=int, default=16, metavar="N", help="crops to compare on (16)")
    return parser


def export_command(arguments: Sequence[str]) -> None:
    """Run ``poserep export``."""
    given = export_parser().parse_intermixed_args(arguments)
    files = [Path(word) for word in given.words if "=" not in word]
    overrides = [word for word in given.words if "=" in word and not word.startswith("readout=")]
    readouts = [word.removeprefix("readout=") for word in given.words if word.startswith("readout=")]
    if len(files) > 1:
        raise InputError(f"expected one file to write, got {', '.join(map(str, files))}; leave all but one out")
    from poserep.deploy.export import export
    from poserep.training.evaluate import configure
    from poserep.training.trainer import quiet

    quiet()
    cfg = configure(given.run, overrides)
    export(given.run, cfg, files[0] if files else None, readouts[-1] if readouts else None, given.check)


def predict_parser() -> argparse.ArgumentParser:
    """Return the parser of ``poserep predict``."""
    parser = parser_of(
        "predict",
        """Find the joints of people in images, and draw them.

Without boxes the whole image is taken for one person's box. Files of boxes are COCO results (image_id is the image's
name without ending), or objects with images and annotations. Writes one picture for each image, and keypoints.json in
COCO's result format. Images are read as annotations see them, without EXIF orientation.

example: poserep predict photo.jpg --model dark.onnx --boxes 40,20,120,300
""",
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--model", type=Path, required=True, metavar="RUN_DIR|FILE.onnx")
    parser.add_argument("--boxes", nargs="+", default=[], metavar="FILE.json|x,y,w,h", help="whole image if left out")
    parser.add_argument("--out", type=Path, default=Path("predictions"), metavar="DIR", help="(predictions)")
    parser.add_argument("--checkpoint", metavar="NAME", help="of the run: last (taken if left out), best, calibrated")
    parser.add_argument("--readout", metavar="NAME", help="the run's default one if left out")
    parser.add_argument("--score-threshold", type=float, metavar="S", help="for drawing; the model's if left out")
    parser.add_argument("--category", type=int, default=1, metavar="ID", help="of the boxes that count (1)")
    parser.add_argument("--box-threshold", type=float, default=0.0, metavar="S", help="least score of a box (0)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="(cpu)")
    parser.add_argument("--batch", type=int, default=32, metavar="N", help="crops at a time (32)")
    return parser


def predict_command(arguments: Sequence[str]) -> None:
    """Run ``poserep predict``; it fails if an image or a box could not be read."""
    given = predict_parser().parse_args(arguments)
    if given.batch < 1:
        raise InputError(f"--batch {given.batch} must be at least 1 crop")
    from poserep.deploy.box_arguments import read_boxes
    from poserep.deploy.inference import open_model
    from poserep.deploy.predict import predict
    from poserep.training.trainer import quiet

    quiet()
    requests = read_boxes(given.boxes, given.category, given.box_threshold)
    for note in requests.notes:
        print(f"note: {note}", file=sys.stderr)
    model = open_model(given.model, given.readout, given.checkpoint, given.device)
    errors = predict(model, given.images, requests, given.out, given.score_threshold, given.category, given.batch)
    if errors:
        raise Failed(f"{len(errors)} images or boxes could not be read; the others are done")
