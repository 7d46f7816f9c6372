"""Write a run's network, flip test and readout as one ONNX file, and check it against PyTorch on crops."""

import functools
import logging
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils._pytree import tree_map_only

from poserep.config import DictConfig
from poserep.data import load_coco
from poserep.data.dataset import PoseDataset
from poserep.data.from_config import boxes_of, dataset_of, instances_of, root_of, skeleton_of
from poserep.data.image_files import read_image
from poserep.data.synthetic import generate
from poserep.deploy.card import METADATA_KEY, Card
from poserep.deploy.inference import Estimate, InferenceModule, onnx_estimator, restore_inference, torch_estimator
from poserep.errors import Failed, InputError, first_line
from poserep.files import replacing
from poserep.skeleton import COCO

# The first that PyTorch's exporter writes without converting, and that every ONNX Runtime since 2023 reads.
OPSET = 18
# By how much ONNX Runtime may differ from PyTorch, in input px and in score, and which share of joints may be ties.
MAX_PX, MAX_SCORE, MAX_TIES = 0.05, 1e-3, 2e-3
# Noise on a network's outputs, relative to the greatest, that stands for rounding, and how often ties are looked for.
_NOISE, _TRIES = 1e-6, 32
_BATCH = 32


def write_onnx(module: InferenceModule, card: Card, example: np.ndarray, path: Path) -> None:
    """Write a module on the CPU as ONNX, with its card in the metadata; ``example`` holds crops (B, C, H, W).

    A readout that PyTorch cannot export raises an `InputError`.
    """
    # With a single image the exporter would record a batch of always one.
    image = torch.from_numpy(np.concatenate([example, example])[:2])
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
                output_names=["xy", "score"],
                dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1)}},
            )
        except torch.onnx.errors.OnnxExporterError as error:
            cause = error.__cause__ or error
            raise InputError(
                f"readout {card.readout} of {card.run} cannot be exported: {type(cause).__name__}: "
                f"{first_line(cause)}; take another readout, or write it without Python branches on values"
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
    after checkpoint and readout, in the run directory; without ``readout`` it has the run's default one. If ONNX
    Runtime and PyTorch differ, it raises `Failed` and leaves no file.
    """
    if check < 2:
        raise InputError(f"--check {check} is too few: give at least 2 crops, so that a batch is tried too")
    module, card = restore_inference(run_dir, cfg, readout)
    flip = "-flip" if card.flip_test else ""
    path = path or run_dir / f"{card.checkpoint}-{card.readout}{flip}.onnx"
    if path.suffix != ".onnx":
        raise InputError(f"{path}: give a file whose name ends in .onnx")
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
        (xy, s), (other_xy, other_s) = one(batch), other(batch)
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


def sample_crops(cfg: DictConfig, reads: str, count: int) -> tuple[np.ndarray, str]:
    """Return ``count`` crops (N, C, H, W), as a run's network gets them, evenly spread over a set, and a description.

    There are fewer if the set has no more. ``reads`` is what the images are, see `poserep.deploy.card.Card`.
    """
    cfg = cfg.copy()
    cfg.trainer.cache = None
    skeleton = skeleton_of(cfg)
    if Path(cfg.data.root).is_dir():
        # If some of the set's files are missing, drawn people will do.
        with suppress(InputError):
            dataset = dataset_of(cfg, instances_of(cfg, "val", skeleton, root_of(cfg), boxes_of(cfg)[0]), skeleton)
            return _spread(dataset, count), f"evaluation crops of {cfg.data.name}"
    with tempfile.TemporaryDirectory() as folder:
        root = generate(folder, "hard", train=1, val=count, workers=1 if count < 100 else None)
        people, source = load_coco(root / "annotations" / "val.json", root / "images" / "val", COCO), "drawn people"
        if reads == "depths":
            cfg.data.read = {"_target_": f"{__name__}.brightness_as_depth", "_partial_": True}
            source += ", brightness taken for depth"
        return _spread(dataset_of(cfg, people, COCO), count), source


def brightness_as_depth(path: Path) -> np.ndarray:
    """Read a photograph as depths (H, W) float32: black is one metre away, white five."""
    return (1 + read_image(path).mean(-1) / 64).astype(np.float32)


def _spread(dataset: PoseDataset, count: int) -> np.ndarray:
    chosen = np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int))
    return np.stack([dataset[0, int(i)].image.numpy() for i in chosen])
