"""Compare two programs that run the same model, on a run's own evaluation crops or drawn ones."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from poserep.config import DictConfig, as_dict
from poserep.data import load_coco
from poserep.data.dataset import PoseDataset
from poserep.data.from_config import boxes_of, dataset_of, instances_of, root_of, skeleton_of
from poserep.data.image_files import read_image
from poserep.data.synthetic import generate
from poserep.deploy.inference import Estimate, InferenceModule
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.skeleton import COCO

# By how much ONNX Runtime may differ from PyTorch, in input px and in score, and which share of joints may be ties.
MAX_PX, MAX_SCORE, MAX_TIES = 0.05, 1e-3, 2e-3
# Noise on a network's outputs, relative to the greatest, that stands for rounding, and how often ties are looked for.
_NOISE, _TRIES = 1e-6, 32
_BATCH = 32


class Parity(NamedTuple):
    """How far two estimators are apart on some crops.

    Attributes:
        px: Greatest distance along an axis, input px, ties left out.
        score: Greatest difference of scores.
        joints: Number of joints.
        apart: How many of them differ by more than `MAX_PX` or `MAX_SCORE` and are no ties.
        ties: How many differ by more than `MAX_PX` because two places are equally good.
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
    px, score, tie = [], [], []
    for batch in (images[:1], *(images[start : start + _BATCH] for start in range(1, len(images), _BATCH))):
        (xy, s), (other_xy, other_s) = one(batch), other(batch)
        px.append(np.abs(xy - other_xy).max(-1))
        score.append(np.abs(s - other_s))
        far = ~(px[-1] <= MAX_PX)
        tie.append(far & tied(batch, other_xy) if tied and far.any() else np.zeros_like(far))
    distance, scores, ties = np.concatenate(px), np.concatenate(score), np.concatenate(tie)
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
    for _ in range(_TRIES):
        points, _score = module.read(_disturbed(out, random), _disturbed(mirrored, random))
        good |= (np.abs(points.numpy() - xy) <= MAX_PX).all(-1)
    return good


def _disturbed(out: Any, random: torch.Generator) -> Any:
    if isinstance(out, torch.Tensor):
        return out + _NOISE * out.abs().max() * torch.randn(out.shape, generator=random)
    return tuple(_disturbed(part, random) for part in out) if isinstance(out, tuple | list) else out


def sample_crops(cfg: DictConfig, reads: str, count: int) -> tuple[np.ndarray, str]:
    """Return ``count`` crops (N, C, H, W), as a run's network gets them, evenly spread over a set, and a description.

    There are fewer if the set has no more. ``reads`` is what the images are, see `poserep.deploy.card.Card`.
    """
    cfg = cfg.copy()
    cfg.trainer.cache = None
    skeleton = skeleton_of(cfg)
    if Path(cfg.data.root).is_dir():
        try:
            dataset = dataset_of(cfg, instances_of(cfg, "val", skeleton, root_of(cfg), boxes_of(cfg)[0]), skeleton)
            return _spread(dataset, count), f"evaluation crops of {cfg.data.name}"
        except InputError:
            # Some of the set's files are missing: drawn people will do.
            pass
    with tempfile.TemporaryDirectory() as folder:
        root = generate(folder, "hard", train=1, val=count, workers=1 if count < 100 else None)
        people = load_coco(root / "annotations" / "val.json", root / "images" / "val", COCO)
        if reads == "photographs":
            return _spread(dataset_of(cfg, people, COCO), count), "drawn people"
        size, options = Size.parse(cfg.input_size), as_dict(cfg.data.get("crop"))
        dataset = PoseDataset(people, COCO, size, cfg.align, read=brightness_as_depth, **options)
        return _spread(dataset, count), "drawn people, brightness taken for depth"


def brightness_as_depth(path: Path) -> np.ndarray:
    """Read a photograph as depths (H, W) float32: black is one metre away, white five."""
    return (1 + read_image(path).mean(-1) / 64).astype(np.float32)


def _spread(dataset: PoseDataset, count: int) -> np.ndarray:
    chosen = np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int))
    return np.stack([dataset[0, int(i)].image.numpy() for i in chosen])
