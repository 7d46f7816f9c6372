"""A few evaluated crops with everything needed to draw them, so that reports never run a network."""

from pathlib import Path

import numpy as np
import torch

from poserep.build import Run
from poserep.data.depth import picture
from poserep.module import PoseModule
from poserep.results import write_npz

COUNT = 12


@torch.no_grad()
def save_samples(run: Run, path: Path) -> None:
    """Crops of the evaluation set's first kind of boxes, evenly spread, the same for every run on that set.

    Writes ``index`` (N,), ``image`` (N, H, W, 3) uint8, ``xy`` (N, K, 2) and ``weight`` (N, K) of the truth,
    ``<readout>/xy`` and ``<readout>/score``, the bins' positions ``bins/x`` and ``bins/y``, all in input px, and the
    head's ``density/...`` as float16.
    """
    module: PoseModule = run.module.eval()
    dataset = next(iter(run.data.evaluation.values()))
    index = np.unique(np.linspace(0, len(dataset) - 1, COUNT).round().astype(int))
    batch = torch.utils.data.default_collate([dataset[0, int(i)] for i in index])
    # As one sees them, whatever order of channels the network is given.
    images = batch.image.flip(1) if dataset.bgr else batch.image
    device = next(module.net.parameters()).device
    out = module.predict_batch(batch.image.to(device))
    codec = module.codec
    arrays = {
        "bins/x": codec.x.to_px(torch.arange(codec.x.n)).numpy(),
        "bins/y": codec.y.to_px(torch.arange(codec.y.n)).numpy(),
        "index": index,
        "image": np.stack([picture(crop) for crop in images.numpy()]),
        "xy": batch.xy.numpy(),
        "weight": batch.weight.numpy(),
        "edges": np.array(run.skeleton.edge_indices()).reshape(-1, 2),
        "names": np.array(run.skeleton.names),
    }
    for name in module.readouts:
        points = module.codec.decode(out, name)
        arrays[f"{name}/xy"], arrays[f"{name}/score"] = points.xy.cpu().numpy(), points.score.cpu().numpy()
    for name, density in module.codec.density(out).items():
        arrays[f"density/{name}"] = density.half().cpu().numpy()
    write_npz(path, arrays)
