"""A few evaluated crops with everything needed to draw them, so that reports never run a network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poserep.batch import Batch
from poserep.data.dataset import PoseDataset
from poserep.drawing import as_rgb
from poserep.errors import InputError
from poserep.files import write_npz
from poserep.instances import InstanceTable
from poserep.metrics.base import Predictions
from poserep.metrics.calibration import joint_oks
from poserep.metrics.taxonomy import KINDS, areas, kinds
from poserep.skeleton import Skeleton
from poserep.training.build import Run
from poserep.training.module import PoseModule

COUNT = 12
ANNOTATED = "gt"


@torch.no_grad()
def save_samples(run: Run, path: Path) -> None:
    """Crops of the evaluation set's first kind of boxes, evenly spread, the same for every run on that set.

    Writes ``index`` (N,), ``image`` (N, H, W, 3) uint8, ``xy`` (N, K, 2) and ``weight`` (N, K) of the truth,
    ``<readout>/xy`` and ``<readout>/score``, the bins' positions ``bins/x`` and ``bins/y``, all in input px, and the
    head's ``density/...`` as float16. Beside it, `save_worst` writes ``worst.npz``.
    """
    save_worst(run, path.with_name("worst.npz"))
    module: PoseModule = run.module.eval()
    dataset = next(iter(run.data.evaluation.values()))
    index = np.unique(np.linspace(0, len(dataset) - 1, COUNT).round().astype(int))
    batch, arrays = _crops(run, dataset, index)
    device = next(module.net.parameters()).device
    out = module.predict_batch(batch.image.to(device))
    codec = module.codec
    arrays["bins/x"] = codec.x.to_px(torch.arange(codec.x.n)).numpy()
    arrays["bins/y"] = codec.y.to_px(torch.arange(codec.y.n)).numpy()
    for name in module.readouts:
        points = module.codec.decode(out, name)
        arrays[f"{name}/xy"], arrays[f"{name}/score"] = points.xy.cpu().numpy(), points.score.cpu().numpy()
    for name, density in module.codec.density(out).items():
        arrays[f"density/{name}"] = density.half().cpu().numpy()
    write_npz(path, arrays)


def save_worst(run: Run, path: Path, count: int = COUNT) -> None:
    """Crops of the persons in annotated boxes that the default readout got worst, the worst one first.

    Predictions are those of the last evaluation; the network is not run again. Writes what `save_samples` does, but for
    bins and densities, and what `worst_persons` finds. Nothing is written where nobody is labelled or whoever is has no
    size to hold errors against.
    """
    if ANNOTATED not in run.module.boxes:
        return
    metrics = run.module.metrics_of(ANNOTATED)
    found = {name: metric.found for name, metric in metrics.items()}
    first = found[run.module.readouts[0]]
    assert first is not None
    try:
        persons = worst_persons(first, metrics[run.module.readouts[0]].instances, run.skeleton, count)
    except InputError:
        # The evaluation has said so already, of errors by joint.
        return
    if not len(persons["index"]):
        return
    batch, arrays = _crops(run, run.data.evaluation[ANNOTATED], persons["index"])
    for name, predictions in found.items():
        assert predictions is not None
        where = np.searchsorted(predictions.index, persons["index"])
        points = batch.crop.to_input(torch.from_numpy(predictions.xy[where]))
        arrays[f"{name}/xy"], arrays[f"{name}/score"] = points.numpy(), predictions.score[where]
    write_npz(path, arrays | persons)


def worst_persons(predictions: Predictions, table: InstanceTable, skeleton: Skeleton, count: int) -> dict[str, Any]:
    """The persons of lowest OKS over their labelled joints; of equal ones the largest error, then the first.

    Areas are those of `metrics.taxonomy.areas`, so that sets without any have an OKS as well.

    Args:
        predictions: Of annotated boxes.
        table: What the predictions' indices point to, with everybody else in the images.
        skeleton: Of both.
        count: How many at most.

    Returns:
        ``index`` (N,); ``oks`` (N,) in [0, 1]; ``error`` (N,), mean distance of a labelled joint in units of the
        square root of the area; ``joint`` (N,), the labelled joint that is furthest off in units of its sigma;
        ``kind`` (N, K), positions in ``kinds``, -1 where unlabelled; ``kinds``, their names. Empty if nobody is
        labelled.

    Raises:
        InputError: If a person has neither area nor box.
    """
    area, _ = areas(table)
    sigmas = np.array(skeleton.sigmas)
    labelled = table.weight[predictions.index] > 0
    some = labelled.any(1)
    predictions, labelled = Predictions(*(column[some] for column in predictions)), labelled[some]
    index, truth = predictions.index, table.keypoints[predictions.index].astype(float)
    distance = np.linalg.norm(predictions.xy.astype(float) - truth, axis=-1) / np.sqrt(area[index, None])
    similarity = joint_oks(predictions.xy, truth, area[index], sigmas)
    joints = np.maximum(labelled.sum(1), 1)
    oks, error = (np.where(labelled, of, 0).sum(1) / joints for of in (similarity, distance))
    worst = np.lexsort((index, -error, oks))[:count]
    # Similarities far off are all 0; distances in units of the joint's own spread are not.
    joint = np.where(labelled, distance / sigmas, -1).argmax(1) if len(index) else np.zeros(0, int)
    kind = kinds(predictions, table, area, sigmas)
    return {
        "index": index[worst],
        "oks": oks[worst],
        "error": error[worst],
        "joint": joint[worst],
        "kind": kind[worst],
        "kinds": np.array(KINDS),
    }


def _crops(run: Run, dataset: PoseDataset, index: Sequence[int] | np.ndarray) -> tuple[Batch, dict[str, Any]]:
    batch = torch.utils.data.default_collate([dataset[0, int(i)] for i in index])
    # As one sees them, whatever order of channels the network is given.
    images = batch.image.flip(1) if dataset.bgr else batch.image
    return batch, {
        "index": np.asarray(index),
        "image": np.stack([as_rgb(crop) for crop in images.numpy()]),
        "xy": batch.xy.numpy(),
        # Joints that the crop does not show are not drawn.
        "weight": (batch.weight * run.module.codec.in_crop(batch.xy)).numpy(),
        "edges": np.array(run.skeleton.edge_indices()).reshape(-1, 2),
        "names": np.array(run.skeleton.names),
    }
