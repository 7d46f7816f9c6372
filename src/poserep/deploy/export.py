"""Write a run's network, flip test and readout as one ONNX file, from bytes to coordinates, and check it.

Overrides are written as for poserep evaluate. The file takes image (B, 3, height, width), uint8, RGB, any B, and gives
xy (B, K, 2) in input px and score (B, K). PyTorch and ONNX Runtime then read the same crops, the run's own evaluation
crops if its data are there, else drawn people; if they differ by more than 0.05 px or 0.001 in score, no file is left.

example: poserep export runs/demo/heatmap-... dark.onnx readout=dark checkpoint=calibrated flip_test=false --check 500
"""

import argparse
import functools
import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig

from poserep.cli import parser_of
from poserep.deploy.card import KEY, Card
from poserep.deploy.crops import crops
from poserep.deploy.estimators import OnnxEstimator, TorchEstimator
from poserep.deploy.graph import PoseGraph
from poserep.deploy.parity import PX, RARE, SCORE, compare, equally_good
from poserep.deploy.restore import restore_graph
from poserep.errors import Failed, InputError
from poserep.training.evaluate import configure
from poserep.training.trainer import quiet

# The first that PyTorch's exporter writes without converting, and that every ONNX Runtime since 2023 reads.
OPSET = 18


def write(graph: PoseGraph, card: Card, example: np.ndarray, path: Path) -> None:
    """Write a graph as ONNX, the card in its metadata.

    Args:
        graph: On the CPU.
        card: Its description.
        example: Crops.
        path: File to write.

    Raises:
        InputError: If PyTorch cannot export it.
    """
    # Of one image alone a batch would be recorded as always one.
    image = torch.from_numpy(np.concatenate([example, example])[:2])
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # What codecs work out once, from their settings, must be there before the graph is recorded.
        graph(image)
        try:
            program = torch.onnx.export(
                graph,
                (image,),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=["image"],
                output_names=["xy", "score"],
                dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1)}},
            )
        except torch.onnx.errors.OnnxExporterError as error:
            cause = error.__cause__ or error
            raise InputError(
                f"readout {card.readout} of {card.run} cannot be exported: {type(cause).__name__}: "
                f"{str(cause).splitlines()[0]}; take another readout, or write it without Python branches on values"
            ) from error
    assert program is not None
    for node in program.model.graph.all_nodes():
        # Stack traces, with the paths of this machine.
        node.metadata_props.clear()
        node.doc_string = None
    program.model.metadata_props[KEY] = card.to_json()
    program.save(path, external_data=False)


def export(
    run_dir: Path, cfg: DictConfig, path: Path | None = None, readout: str | None = None, check: int = 16
) -> Path:
    """Write and check.

    Args:
        run_dir: Of the run.
        cfg: From `poserep.training.evaluate.configure`.
        path: File to write; None names it after checkpoint and readout, in the run directory.
        readout: Of the codec; None takes the run's default one.
        check: Crops to compare on.

    Returns:
        The file.

    Raises:
        InputError: If the run cannot be restored or exported, or ONNX Runtime and PyTorch differ; then no file is left.
    """
    if check < 2:
        raise InputError(f"--check {check} is too few: give at least 2 crops, or the batch is not tried")
    graph, card = restore_graph(run_dir, cfg, readout)
    name = f"{card.checkpoint}-{card.readout}{'-flip' if card.flip_test else ''}.onnx"
    path = path or run_dir / name
    if path.suffix != ".onnx":
        raise InputError(f"{path}: give a file whose name ends in .onnx")
    path.parent.mkdir(parents=True, exist_ok=True)
    images, what = crops(cfg, card.reads, check)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(graph, card, images, partial)
        found = compare(
            TorchEstimator(graph, card), OnnxEstimator(partial), images, functools.partial(equally_good, graph)
        )
        told = (
            f"{len(images)} {what}, {found.joints} joints: ONNX Runtime and PyTorch differ by {found.px:.2g} px and "
            f"{found.score:.2g} in score at most"
        )
        if found.ties:
            told += f", but for {found.ties} where two places are equal to single precision"
        if found.apart or found.ties > max(1, RARE * found.joints):
            raise Failed(
                f"{told}, {found.apart} joints by more than {PX} px or {SCORE}; {path} is not written. Take another "
                "readout or checkpoint: maps without a clear maximum fall on either side of a tie"
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    megabytes = path.stat().st_size / 1e6
    print(
        f"{path}: {megabytes:.1f} MB, opset {OPSET}, {card.size} px, readout {card.readout}, flip test "
        f"{'on' if card.flip_test else 'off'}, checkpoint {card.checkpoint}\n{told}"
    )
    return path


def parser() -> argparse.ArgumentParser:
    """Of the arguments of ``poserep export``."""
    parser = parser_of("export", __doc__)
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument("words", nargs="*", metavar="FILE.onnx | key=value")
    parser.add_argument("--check", type=int, default=16, metavar="N", help="crops to compare on (16)")
    return parser


def main(arguments: Sequence[str]) -> None:
    """The command ``poserep export``."""
    given = parser().parse_intermixed_args(arguments)
    files: list[Path | None] = [Path(word) for word in given.words if "=" not in word]
    overrides = [word for word in given.words if "=" in word]
    readouts: list[str | None] = [word.removeprefix("readout=") for word in overrides if word.startswith("readout=")]
    quiet()
    if len(files) > 1:
        raise InputError(f"expected one file to write, got {', '.join(map(str, files))}")
    cfg = configure(given.run, [word for word in overrides if not word.startswith("readout=")])
    export(given.run, cfg, (files or [None])[0], (readouts or [None])[-1], given.check)
