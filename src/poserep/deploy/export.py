"""Write a run's network, flip test and readout as one ONNX file, and check it against PyTorch on images."""

import functools
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.export import Dim
from torch.utils._pytree import tree_map_only

from poserep.config import DictConfig
from poserep.deploy.card import METADATA_KEY, Card
from poserep.deploy.inference import Estimate, InferenceModule, onnx_estimator, restore_inference, torch_estimator
from poserep.deploy.samples import sample_crops, sample_scenes
from poserep.errors import Failed, InputError, first_line
from poserep.files import replacing

# The first that PyTorch's exporter writes without converting, and that every ONNX Runtime since 2023 reads.
OPSET = 18
# By how much ONNX Runtime may differ from PyTorch, in input px and in score, and which share of joints may be ties.
MAX_PX, MAX_SCORE, MAX_TIES = 0.05, 1e-3, 2e-3
# By how much maps of whole images may differ, relative to the greatest value.
MAX_MAPS = 1e-4
# Noise on a network's outputs, relative to the greatest, that stands for rounding, and how often ties are looked for.
_NOISE, _TRIES = 1e-6, 32
_BATCH = 32


def write_onnx(module: InferenceModule, card: Card, example: np.ndarray, path: Path) -> None:
    """Write a module on the CPU as ONNX, with its card in the metadata; ``example`` holds images (B, C, H, W).

    The file takes batches of any number, and whole images of any size that the card's ``multiple`` divides. What
    PyTorch cannot export raises an `InputError`.
    """
    # With a single image the exporter would record a batch of always one.
    image = torch.from_numpy(np.concatenate([example, example])[:2])
    dynamic = {0: Dim("batch", min=1)}
    if card.scenes:
        multiple = card.scenes["multiple"]
        # With equal sides it would record a square.
        image = image.new_zeros(2, card.channels, 2 * multiple, 3 * multiple)
        dynamic |= {2: multiple * Dim("rows", min=1), 3: multiple * Dim("columns", min=1)}
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):
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
                output_names=list(module.outputs),
                dynamic_shapes={"image": dynamic},
            )
        except torch.onnx.errors.OnnxExporterError as error:
            cause = error.__cause__ or error
            raise InputError(
                f"readout {card.readout} of {card.run} cannot be exported: {type(cause).__name__}: "
                f"{first_line(cause)}; take another readout or backbone, or write it without Python branches on values"
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
    """Write a run's ONNX file, compare it with PyTorch on ``check`` images, print both, and return its path.

    ``cfg`` is the run's configuration from `poserep.training.evaluate.configure`. Without ``path`` the file is named
    after checkpoint and readout, in the run directory; without ``readout`` it has the run's default one. If ONNX
    Runtime and PyTorch differ, it raises `Failed` and leaves no file.
    """
    if check < 2:
        raise InputError(f"--check {check} is too few: give at least 2 crops, so that a batch is tried too")
    module, card = restore_inference(run_dir, cfg, readout)
    flip = "-flip" if card.flip_test else ""
    path = path or run_dir / f"{card.checkpoint}-{card.readout}{flip}.onnx"
    if path.suffix != ".onnx":
        raise InputError(f"{path}: give a file whose name ends in .onnx, or in .safetensors for weights")
    if card.scenes:
        # What a file cannot hold is refused before it is made.
        card.decoder(path)
    images: Any
    images, source = sample_scenes(cfg, card, check) if card.scenes else sample_crops(cfg, card.reads, check)
    with replacing(path) as partial:
        write_onnx(module, card, images[0][None], partial)
        estimators = torch_estimator(module, card).estimate, onnx_estimator(partial).estimate
        compare = compare_maps if card.scenes else functools.partial(compare_points, module)
        message, refusal = compare(*estimators, images)
        message = f"{len(images)} {source}{message}"
        if refusal:
            raise Failed(f"{message}, {refusal}; {path} is not written")
    size = f"multiples of {card.scenes['multiple']}" if card.scenes else card.size
    print(
        f"{path}: {path.stat().st_size / 1e6:.1f} MB, opset {OPSET}, {size} px, readout {card.readout}, flip test "
        f"{'on' if card.flip_test else 'off'}, checkpoint {card.checkpoint}\n{message}"
    )
    return path


def compare_points(
    module: InferenceModule,
    one: Callable[[np.ndarray], Estimate],
    other: Callable[[np.ndarray], Estimate],
    images: np.ndarray,
) -> tuple[str, str]:
    """Compare what ``module`` finds with what a file does on crops (N, C, H, W); ties are told apart from errors.

    Returns how far they are apart, in words, and if that is too far, by how much and what to do; else no words.
    """
    difference = parity(one, other, images, functools.partial(equally_good, module))
    message = (
        f", {difference.joints} joints: ONNX Runtime and PyTorch differ by {difference.px:.2g} px and "
        f"{difference.score:.2g} in score at most"
    )
    if difference.ties:
        message += f", but for {difference.ties} where two places are equal to single precision"
    if not difference.apart and difference.ties <= max(1, MAX_TIES * difference.joints):
        return message, ""
    return message, (
        f"{difference.apart} joints by more than {MAX_PX} px or {MAX_SCORE}: take another readout or checkpoint, as "
        "maps without a clear maximum fall on either side of a tie"
    )


def compare_maps(
    one: Callable[[np.ndarray], Estimate], other: Callable[[np.ndarray], Estimate], images: Sequence[np.ndarray]
) -> tuple[str, str]:
    """Compare heatmaps and tags of whole images (C, H, W), each alone, the first turned and in a batch of two as well.

    Returns words as `compare_points` does.
    """
    first, *others = (np.ascontiguousarray(image[None]) for image in images)
    turned, two = np.ascontiguousarray(first.swapaxes(2, 3)), np.concatenate([first, first[..., ::-1]])
    differences = [
        float((a - b).abs().max() / a.abs().max().clamp_min(1e-30))
        for batch in (first, turned, two, *others)
        for a, b in zip(one(batch), other(batch), strict=True)
    ]
    greatest = np.max(differences)
    message = f": heatmaps and tags of ONNX Runtime and PyTorch differ by {greatest:.2g} of the greatest value"
    # Written so that NaN is refused.
    fits = greatest <= MAX_MAPS
    return message, "" if fits else f"more than {MAX_MAPS}: take another checkpoint, whose weights are finite"


class Parity(NamedTuple):
    """How far two estimators are apart on some crops.

    ``px`` is the greatest distance along an axis, input px, ties left out, ``score`` the greatest difference of scores.
    Of ``joints``, ``apart`` differ by more than `MAX_PX` or `MAX_SCORE` and are no ties; ``ties`` differ by more than
    `MAX_PX` because two places are equally good.
    """

    px: float
    score: float
    joints: int
    apart: int
    ties: int


def parity(
    one: Callable[[np.ndarray], Estimate],
    other: Callable[[np.ndarray], Estimate],
    images: np.ndarray,
    tied: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Parity:
    """Compare what an estimator finds with a reference on crops (N, C, H, W), the first alone, the others in batches.

    ``tied`` says of crops (B, C, H, W) and the other's points (B, K, 2) which are as good as the one's, (B, K).
    """
    compared = []
    for batch in (images[:1], *(images[start : start + _BATCH] for start in range(1, len(images), _BATCH))):
        (xy, s), (other_xy, other_s) = (map(np.asarray, find(batch)) for find in (one, other))
        px = np.abs(xy - other_xy).max(-1)
        far = ~(px <= MAX_PX)
        tie = far & tied(batch, other_xy) if tied and far.any() else np.zeros_like(far)
        compared.append((px, np.abs(s - other_s), tie))
    distance, scores, ties = map(np.concatenate, zip(*compared, strict=True))
    # Written so that NaN is apart.
    apart = ~(((distance <= MAX_PX) | ties) & (scores <= MAX_SCORE))
    greatest = float(np.where(ties, 0, distance).max())
    return Parity(greatest, float(scores.max()), apart.size, int(apart.sum()), int(ties.sum()))


@torch.no_grad()
def equally_good(module: InferenceModule, images: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Return which points (B, K, 2) PyTorch gives too if the network's outputs change as little as by rounding.

    Two bins that are equal to single precision are a tie that either of two programs may win.
    """
    image = torch.from_numpy(images)
    out, mirrored = module.net(image), module.net(module.codec.mirror(image)) if module.flip_test else None
    random = torch.Generator().manual_seed(0)
    good = np.zeros(xy.shape[:-1], bool)

    def disturbed(out: torch.Tensor) -> torch.Tensor:
        return out + _NOISE * out.abs().max() * torch.randn(out.shape, generator=random)

    for _ in range(_TRIES):
        points, _score = module.read(*tree_map_only(torch.Tensor, disturbed, (out, mirrored)))
        good |= (np.abs(points.numpy() - xy) <= MAX_PX).all(-1)
    return good
