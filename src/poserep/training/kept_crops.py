"""Evaluated crops with everything needed to draw them, so that reports never run a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poserep.data.dataset import Batch, PoseDataset
from poserep.data.from_config import image_reader
from poserep.drawing import as_rgb
from poserep.errors import InputError
from poserep.files import write_npz
from poserep.geometry import Axis, Size
from poserep.instances import Truth
from poserep.metrics.epe import distances
from poserep.metrics.oks import joint_oks
from poserep.metrics.scorer import Predictions
from poserep.metrics.taxonomy import KINDS, areas, error_kinds
from poserep.training.build import Run
from poserep.training.evaluation import annotated_boxes
from poserep.training.module import PoseModule

COUNT = 12
# Size of the crops where the network takes whole images.
SHOWN = Size(256, 192)


@torch.no_grad()
def save_samples(run: Run, path: Path) -> None:
    """Write crops of the evaluation set's first kind of boxes, evenly spread, the same for every run on that set.

    Arrays: ``index`` (N,), ``image`` (N, H, W, 3) uint8, ``xy`` (N, K, 2) and ``weight`` (N, K) of the truth,
    ``<readout>/xy`` and ``<readout>/score``, the bins' positions ``bins/x`` and ``bins/y``, all in input px, and the
    head's ``density/...`` as float16. Nothing is written where people are found in whole images.
    """
    module: PoseModule = run.module.eval()
    dataset = next(iter(run.data.evaluation.values()))
    if not isinstance(dataset, PoseDataset):
        return
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


def save_worst(run: Run, predictions: Mapping[str, Predictions], path: Path) -> None:
    """Write crops of the annotated persons whom the default readout predicts worst, the worst one first.

    The arrays are those of `save_samples`, but for bins and densities, and those of `worst_persons`. The network is not
    run. Nothing is written without predictions for annotated persons, where nobody is labelled, or where those who are
    have no size to measure errors by.
    """
    if not predictions:
        return
    try:
        truth = run.module.scorers[annotated_boxes(run)].truth
        persons = worst_persons(predictions[run.module.readouts[0]], truth, COUNT)
    except InputError:
        # The evaluation has noted the reason when it left out errors by joint.
        return
    if not len(persons["index"]):
        return
    dataset = run.data.evaluation[annotated_boxes(run)]
    if not isinstance(dataset, PoseDataset):
        # People of whole images are shown in crops around their annotated boxes.
        dataset = PoseDataset(truth.instances, run.skeleton, SHOWN, read=image_reader(run.cfg))
    batch, arrays = _crops(run, dataset, persons["index"])
    for readout, by_readout in predictions.items():
        # In whole images another readout may have missed a person.
        _, ours, theirs = np.intersect1d(persons["index"], by_readout.index, return_indices=True)
        xy, score = np.full(batch.xy.shape, np.nan, np.float32), np.zeros(batch.weight.shape, np.float32)
        xy[ours], score[ours] = by_readout.xy[theirs], by_readout.score[theirs]
        arrays[f"{readout}/xy"] = batch.crop.to_input(torch.from_numpy(xy)).numpy()
        arrays[f"{readout}/score"] = score
    write_npz(path, arrays | persons)


def worst_persons(predictions: Predictions, truth: Truth, count: int) -> dict[str, Any]:
    """Find the persons of lowest OKS over their labelled joints; of equal ones the largest error, then the first.

    The predictions are of annotated boxes. Areas are those of `metrics.taxonomy.areas`, so that sets without any have
    an OKS as well; a person with neither area nor box is an `InputError`.

    Returns:
        ``index`` (N,); ``oks`` (N,) in [0, 1]; ``error`` (N,), mean distance of a labelled joint in units of the
        square root of the area; ``joint`` (N,), the labelled joint that is furthest off in units of its sigma;
        ``kind`` (N, K), positions in ``kinds``, -1 where unlabelled; ``kinds``, their names. Empty if nobody is
        labelled.
    """
    area, _ = areas(truth.instances)
    predictions = predictions.take(truth.labelled[predictions.index].any(1))
    index, labelled = predictions.index, truth.labelled[predictions.index]
    keypoints = truth.instances.keypoints[index].astype(float)
    distance = distances(keypoints, predictions.xy) / np.sqrt(area[index, None])
    similarity = joint_oks(predictions.xy, keypoints, area[index], truth.sigmas)
    joints = np.maximum(labelled.sum(1), 1)
    oks, error = (np.where(labelled, values, 0).sum(1) / joints for values in (similarity, distance))
    worst = np.lexsort((index, -error, oks))[:count]
    # Similarities of joints that are far off are all 0; distances in units of the joint's sigma still differ.
    joint = np.where(labelled, distance / truth.sigmas, -1).argmax(1)
    kind = error_kinds(predictions, truth, area)
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
    # In RGB, whatever order of channels the network takes.
    images = batch.image.flip(1) if dataset.bgr else batch.image
    return batch, {
        "index": np.asarray(index),
        "image": np.stack([as_rgb(crop) for crop in images.numpy()]),
        "xy": batch.xy.numpy(),
        # Joints that the crop does not show are not drawn.
        "weight": (batch.weight * _shown(batch.xy, dataset.size)).numpy(),
        "edges": np.array(run.skeleton.edge_indices()).reshape(-1, 2),
        "names": np.array(run.skeleton.names),
    }


def _shown(xy: torch.Tensor, size: Size) -> torch.Tensor:
    return Axis(size.width, size.width).contains(xy[..., 0]) & Axis(size.height, size.height).contains(xy[..., 1])
