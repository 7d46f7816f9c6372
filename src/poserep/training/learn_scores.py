"""Learn a finished run's joint scores: a small head on its features predicts OKS, the coordinates stay as they are."""

import os
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poserep.codecs.base import Points
from poserep.config import DictConfig
from poserep.data.dataset import Batch
from poserep.data.from_config import takes_scenes
from poserep.errors import InputError
from poserep.files import replacing
from poserep.runs.rundir import RunDir
from poserep.training.evaluate import restore
from poserep.training.learnt_scores import new_score_head, score_logits
from poserep.training.module import PoseModule
from poserep.training.trainer import make_trainer


class ScoreTraining(lightning.LightningModule):
    """Trains a module's `PoseModule.score_head`, and nothing else, on joints whose annotated person has an area.

    The loss is the cross-entropy of predicted and true OKS, which is least at the mean OKS of joints that look alike,
    as `poserep.metrics.calibration.fit_temperature` has it.

    Args:
        module: The finished network, whose default readout gives the points.
        area, sigmas: Areas (P,) of the training set's persons in square image px, and OKS sigmas (K,).
        lr: Learning rate of Adam.
    """

    def __init__(self, module: PoseModule, area: Tensor, sigmas: Tensor, lr: float) -> None:
        super().__init__()
        # In a list it is no part of this module, which would train its batch norms.
        self.whole, self.lr = [module], lr
        assert module.score_head is not None
        self.head = module.score_head
        self.area = nn.Buffer(area.float(), persistent=False)
        self.sigmas = nn.Buffer(sigmas.float(), persistent=False)

    def on_fit_start(self) -> None:
        """Freeze the network, on the device."""
        self.whole[0].to(self.device).eval().requires_grad_(False)
        self.head.requires_grad_(True)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compare the scores of a batch, augmented as in training, with its OKS."""
        module = self.whole[0]
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            points = module.codec.decode(module.predict_batch(batch.image), module.readouts[0])
            assert isinstance(points, Points)
            features = module.net.features(batch.image)
            area = self.area[batch.index][:, None]
            distance = (batch.crop.to_image(points.xy) - batch.crop.to_image(batch.xy)).float().square().sum(-1)
            oks = torch.exp(-distance / (2 * area.clamp_min(1) * (2 * self.sigmas).square()))
            judged = (batch.weight > 0) & (area > 0)
        logits = score_logits(self.head, features, module.codec, points)
        each = F.binary_cross_entropy_with_logits(logits, torch.where(judged, oks, 0.0), reduction="none")
        return (each * judged).sum() / judged.sum().clamp_min(1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam on the head."""
        return torch.optim.Adam(self.head.parameters(), lr=self.lr)


def learn_scores(directory: str | os.PathLike[str], cfg: DictConfig, epochs: int = 5, lr: float = 1e-3) -> Any:
    """Learn scores on a run's training set and write checkpoints/learnt.ckpt, whose path is returned.

    The network's parameters are those of the checkpoint that ``cfg`` names. A checkpoint that is missing or does not
    fit, published scores, whole images and persons without areas are an `InputError`.
    """
    run_dir = RunDir(directory)
    if takes_scenes(cfg):
        raise InputError(f"representation={cfg.representation.name} finds people in whole images; scores are of crops")
    cfg.trainer.devices, cfg.trainer.epochs = 1, epochs
    run = restore(run_dir, cfg, tempered=False, train=True)
    module = run.module
    if module.codec.deviations.score == "published":
        raise InputError("representation.codec.score=published is in no fixed range; learn from score=contract")
    assert run.data.train is not None
    area = torch.from_numpy(run.data.train.instances.area)
    if not (area > 0).any():
        raise InputError("no person of the training set has an area, by which OKS is scaled")
    module.score_head = new_score_head(module.net, len(module.perm))
    trainer = make_trainer(cfg, [], [])
    trainer.fit(ScoreTraining(module, area, torch.tensor(run.skeleton.sigmas), lr), run.data.train_dataloader())
    path = run_dir.checkpoint("learnt")
    with replacing(path) as file:
        torch.save({"state_dict": {key: value.cpu() for key, value in module.state_dict().items()}}, file)
    print(f"written: {path}; poserep evaluate {run_dir} checkpoint=learnt evaluates it")
    return path
