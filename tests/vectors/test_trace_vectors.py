"""Six steps of the official training loops, and the same steps of the published rows through `PoseModule`.

The configuration is that of a published row with ResNet-18, for SA-SimDR at another size, and three epochs of two
batches. The official crops, joints and labels go straight into the module: that the data set hands on the same is for
`test_weights_vectors`. In double precision losses agree to 1e-9 at all six steps. In single precision only the first
step says anything: Adam's first steps have the same size whatever the gradient, so rounding errors grow, to 2e-2.

The copies beside the project are of two traces, two steps and one; the full set has five of six steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback
from omegaconf import DictConfig
from torch import Tensor

from poserep.config import make
from poserep.data.dataset import Batch
from poserep.geometry import Crop
from poserep.models.weights.load import load_official
from poserep.overrides import key_of
from poserep.skeleton import COCO
from poserep.sweeps.sweep_file import complete_table, compositions
from poserep.sweeps.table import cells_of
from poserep.training.learning_rate import effective_lr
from poserep.training.module import PoseModule
from poserep.training.network import build_network
from reference.vectors import files, input_size, tensors
from reference.weights import named_state, official_keys

BATCH, STEPS_PER_EPOCH = 4, 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Sweep and row of the published mode that a trace is of, and the row's settings that the trace has otherwise.
ROWS = {
    "heatmap_r18_64x64": ("simcc-table1", "SimBa-R50 64x64, heatmap + shift", {}),
    "simdr_r18_64x64_k3": ("simdr-table2", "SimBa-R50 64x64, SimDR", {}),
    "simdr_upfree_r18_64x64_k3": ("simcc-table1", "SimBa-R50 64x64, SimCC, no deconv", {}),
    "sasimdr_r18_128x96_k2": ("simcc-table5", "SimBa-R50 384x288, Gaussian smoothing", {"size": "128x96"}),
    "dark_r18_128x96": ("dark-table5", "SimpleBaseline-R50, DARK", {}),
}


@dataclass
class Steps:
    """Batches in the official order, those of the next epoch each time they are asked for."""

    batches: list[Batch]
    epoch: int = 0

    def __len__(self) -> int:
        return min(STEPS_PER_EPOCH, len(self.batches))

    def __iter__(self) -> Iterator[Batch]:
        first = self.epoch * STEPS_PER_EPOCH
        self.epoch += 1
        yield from self.batches[first : first + STEPS_PER_EPOCH]


@cache
def configuration(name: str) -> DictConfig:
    """The published row's, with the trace's network, size and length."""
    sweep, row, changes = ROWS[name]
    (cell,) = (c for c in cells_of(complete_table(sweep, "published"), ["seed=0"]) if row in c.rows)
    changes = {
        **changes, "backbone": "resnet18", "backbone.weights": "null", "trainer.batch": str(BATCH),
        "optim.reference_batch": str(BATCH), "trainer.epochs": "3",
        # The official schedule is stepped before each epoch, so that a milestone of 3 works after the second.
        "optim.schedule.milestones": "[2]",
    }  # fmt: skip
    kept = [o for o in cell.overrides if key_of(o) not in changes]
    return next(compositions(sweep, [[*kept, *(f"{key}={value}" for key, value in changes.items())]]))


def module_of(name: str, v: dict[str, Tensor]) -> PoseModule:
    """The row's network and codec with the official weights, its optimiser and its schedule."""
    cfg = configuration(name)
    net, codec = build_network(cfg, COCO)
    state = named_state(official_keys(net), float(v["conv_gain"]))
    imported = load_official(net, state, name)
    assert set(imported.mapped) == set(state) and not imported.missing
    lr = effective_lr(cfg.optim, cfg.trainer.batch)
    optimizer, schedule = make(cfg.optim.optimizer, lr=lr), make(cfg.optim.schedule)
    return PoseModule(net, codec, COCO.flip_perm(), {}, None, optimizer, schedule, cfg.flip_test, cfg.seed)


def batches(v: dict[str, Tensor], dtype: torch.dtype) -> list[Batch]:
    crops = v["crops"].permute(0, 3, 1, 2).contiguous()
    parts = (crops, v["joints"].to(dtype), v["vis"].to(dtype), torch.zeros(len(crops), 2, 3), torch.arange(len(crops)))
    return [
        Batch(image, xy, weight, Crop(matrix), index)
        for image, xy, weight, matrix, index in zip(*(part.split(BATCH) for part in parts), strict=True)
    ]


def trace_of(file: Path) -> tuple[str, dict[str, Tensor]]:
    """Return a trace's name and values, after checking that its settings are the configuration's."""
    name, v = file.stem.removeprefix("trace_"), tensors(file)
    cfg = configuration(name)
    codec = cfg.representation.codec
    assert cfg.input_size == str(input_size(v)) and cfg.data.crop.bgr
    if "stride" in codec:
        assert codec.sigma == v["sigma"]
    else:
        assert codec.k == v["simdr_split_ratio"] and codec.label.get("sigma", v["sigma"]) == v["sigma"]
    return name, v


# The full traces have more steps than the copies, and the same first one.
COPIES = {file.id for file in files("trace_*")}
STEPWISE = [
    pytest.param(*file.values, id=file.id, marks=pytest.mark.long) if file.id.startswith("full-") else file
    for file in files("trace_*")
]


@pytest.mark.parametrize("file", STEPWISE)
def test_every_step_is_the_official_loops(file, monkeypatch):
    name, v = trace_of(file)
    module = module_of(name, v).double()
    net = module.net
    # What is single precision whatever the weights are: coordinates and outputs in codecs, and these constants.
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    mean, std = (torch.tensor(x, dtype=torch.float64)[:, None, None] for x in (MEAN, STD))
    net.scale, net.offset = 1 / (255 * std), -mean / std
    first = v["crops"][:1].permute(0, 3, 1, 2)
    compare_outputs(net, first, v, "initial64")
    lr, loss = [], []
    recorder = LambdaCallback(
        on_train_batch_start=lambda trainer, *_: lr.append(trainer.optimizers[0].param_groups[0]["lr"]),
        on_train_batch_end=lambda trainer, module, outputs, *_: loss.append(outputs["loss"].item()),
    )
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=-(-len(v["loss64"]) // STEPS_PER_EPOCH), logger=False, callbacks=[recorder],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, Steps(batches(v, torch.float64)))
    np.testing.assert_allclose(lr, v["lr"], rtol=1e-12)
    np.testing.assert_allclose(loss, v["loss64"], rtol=1e-9)
    compare_outputs(net, first, v, "64")


def compare_outputs(net: Any, image: Tensor, v: dict[str, Tensor], which: str) -> None:
    """What the network gives for the first crop, to 1e-8 of the greatest value."""
    if f"out0_{which}" not in v:  # the copies are shorter than the traces
        return
    net.eval()
    with torch.no_grad():
        out = net(image)
    net.train()
    for i, ours in enumerate(out if isinstance(out, tuple) else (out,)):
        theirs = v[f"out{i}_{which}"]
        assert (ours - theirs).abs().max() <= 1e-8 * theirs.abs().max()


@pytest.mark.parametrize("file", [p for p in files("trace_*") if p.id.removeprefix("full-") not in COPIES])
def test_the_first_loss_is_the_official_one_in_single_precision(file):
    name, v = trace_of(file)
    module = module_of(name, v)
    batch = batches(v, torch.float32)[0]
    target, weight = module.codec.encode(batch.xy, batch.weight)
    assert torch.equal(weight > 0, v["weight"][:BATCH] > 0)
    loss = module.codec.loss(module.net.train()(batch.image), target, weight).item()
    assert loss == pytest.approx(v["loss64"][0].item(), rel=1e-6)
