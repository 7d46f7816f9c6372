"""Write a run's network, flip test and readout as one ONNX file, and check it against PyTorch."""

import functools
import logging
import warnings
from pathlib import Path

import numpy as np
import torch

from poserep.config import DictConfig
from poserep.deploy.card import METADATA_KEY, Card
from poserep.deploy.inference import InferenceModule, onnx_estimator, restore_inference, torch_estimator
from poserep.deploy.parity import MAX_PX, MAX_SCORE, MAX_TIES, equally_good, parity, sample_crops
from poserep.errors import Failed, InputError
from poserep.files import replacing

# The first that PyTorch's exporter writes without converting, and that every ONNX Runtime since 2023 reads.
OPSET = 18


def write_onnx(module: InferenceModule, card: Card, example: np.ndarray, path: Path) -> None:
    """Write a module on the CPU as ONNX, with its card in the metadata; ``example`` holds crops (B, C, H, W).

    A readout that PyTorch cannot export raises an `InputError`.
    """
    # With a single image the exporter would record a batch of always one.
    image = torch.from_numpy(np.concatenate([example, example])[:2])
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # What codecs derive once from their settings must exist before the graph is recorded.
        module(image)
        try:
            program = torch.onnx.export(
                module,
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
        # They hold stack traces with the paths of this machine.
        node.metadata_props.clear()
        node.doc_string = None
    program.model.metadata_props[METADATA_KEY] = card.to_json()
    program.save(path, external_data=False)


def export(
    run_dir: Path, cfg: DictConfig, path: Path | None = None, readout: str | None = None, check: int = 16
) -> Path:
    """Write a run's ONNX file, compare it with PyTorch on ``check`` crops, print both, and return its path.

    ``cfg`` is the run's configuration from `poserep.training.evaluate.configure`. Without ``path`` the file is named
    after checkpoint and readout, in the run directory; without ``readout`` it has the run's default one.

    Raises:
        InputError: If the run cannot be restored or exported.
        Failed: If ONNX Runtime and PyTorch differ; no file is left.
    """
    if check < 2:
        raise InputError(f"--check {check} is too few: give at least 2 crops, so that a batch is tried too")
    module, card = restore_inference(run_dir, cfg, readout)
    flip = "-flip" if card.flip_test else ""
    path = path or run_dir / f"{card.checkpoint}-{card.readout}{flip}.onnx"
    if path.suffix != ".onnx":
        raise InputError(f"{path}: give a file whose name ends in .onnx")
    path.parent.mkdir(parents=True, exist_ok=True)
    images, source = sample_crops(cfg, card.reads, check)
    with replacing(path) as partial:
        write_onnx(module, card, images, partial)
        estimators = torch_estimator(module, card).estimate, onnx_estimator(partial).estimate
        difference = parity(*estimators, images, functools.partial(equally_good, module))
        message = (
            f"{len(images)} {source}, {difference.joints} joints: ONNX Runtime and PyTorch differ by "
            f"{difference.px:.2g} px and {difference.score:.2g} in score at most"
        )
        if difference.ties:
            message += f", but for {difference.ties} where two places are equal to single precision"
        if difference.apart or difference.ties > max(1, MAX_TIES * difference.joints):
            raise Failed(
                f"{message}, {difference.apart} joints by more than {MAX_PX} px or {MAX_SCORE}; {path} is not written. "
                "Take another readout or checkpoint: maps without a clear maximum fall on either side of a tie"
            )
    print(
        f"{path}: {path.stat().st_size / 1e6:.1f} MB, opset {OPSET}, {card.size} px, readout {card.readout}, flip test "
        f"{'on' if card.flip_test else 'off'}, checkpoint {card.checkpoint}\n{message}"
    )
    return path
