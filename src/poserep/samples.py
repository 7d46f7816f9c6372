"""A few evaluated crops with everything needed to draw them, so that reports never run a network."""

from pathlib import Path

import numpy as np
import torch

from poserep.build import Run
from poserep.module import PoseModule
from poserep.results import write_npz

COUNT = 12


def picture(image: torch.Tensor) -> np.ndarray:
    """Images (N, C, H, W) to (N, H, W, 3) bytes to look at; of depths, the near is bright and the unknown black."""
    if image.dtype == torch.uint8:
        return image.permute(0, 2, 3, 1).numpy()
    depth = image[:, :1].permute(0, 2, 3, 1)
    known = depth > 0
    near, far = depth[known].min(), depth[known].max()
    bright = (1 - 0.85 * (depth - near) / (far - near).clamp(min=1e-6)) * known
    return (255 * bright).byte().expand(-1, -1, -1, 3).numpy()


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
    device = next(module.net.parameters()).device
    out = module.predict_batch(batch.image.to(device))
    codec = module.codec
    arrays = {
        "bins/x": codec.x.to_px(torch.arange(codec.x.n)).numpy(),
        "bins/y": codec.y.to_px(torch.arange(codec.y.n)).numpy(),
        "index": index,
        "image": picture(batch.image),
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
