"""The Lightning module, where network, codec and scorers meet: training step, evaluation, flip test."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

import lightning
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from poserep.codecs import Codec
from poserep.data.dataset import Batch
from poserep.errors import Failed
from poserep.metrics.scorer import Predictions, Scorer, Scores
from poserep.models import ConfidenceHead, PoseNet, Stacks
from poserep.training.gather import Gather
from poserep.training.learnt_scores import rescore


def score_temperature(codec: Codec) -> float:
    """Return the temperature applied to scores; 1 for published scores, which are never tempered."""
    return float(codec.temperature) if codec.deviations.score == "contract" else 1.0


def score_threshold(codec: Codec) -> float:
    """Return the threshold of a person's score, tempered as scores are: the same joints count at any temperature."""
    threshold = codec.deviations.score_threshold
    return threshold ** (1 / score_temperature(codec)) if threshold > 0 else threshold


def read_later(flag: Tensor) -> Callable[[], bool]:
    """Copy a boolean from its device without waiting; calling the result waits for the copy and returns it."""
    if not flag.is_cuda:
        return lambda: bool(flag)
    host = torch.empty((), dtype=torch.bool, pin_memory=True)
    host.copy_(flag, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()

    def read() -> bool:
        arrived.synchronize()
        return bool(host)

    return read


class Scored(NamedTuple):
    """One readout's predictions for one kind of boxes, and their scores."""

    predictions: Predictions
    scores: Scores


class PoseModule(lightning.LightningModule):
    """Trains one representation and evaluates all its readouts in one pass.

    Training is validated with the first kind of boxes, ``trainer.test`` evaluates with all. Logged keys are the same
    for every representation: ``train/loss``, ``val/<metric>_<boxes>`` for the default readout and
    ``val/<readout>/<metric>_<boxes>`` for each.

    Args:
        net: The network.
        codec: Reads what the network emits.
        perm: (K,) from `Skeleton.flip_perm`.
        scorers: One for each kind of boxes, in the order of the evaluation loaders.
        readouts: The codec's readouts to evaluate, the default one first; None takes all.
        optimizer: Makes the optimiser from parameters.
        schedule: Makes the schedule from the optimiser, ``total_steps`` and ``steps_per_epoch``.
        flip_test: Average the outputs for an image and for the mirrored image.
        seed: The run's seed.
        micro_batch: Samples of a training step whose activations are kept at a time; None takes the whole batch.

    Attributes:
        scored: By boxes and readout, from the last evaluation; empty in an epoch of training that has none yet.
        score_head: Gives the scores of joints in place of the codec, if they have been learnt.
        outputs: Positions among the network's joints of those that are evaluated; by default all.
    """

    def __init__(
        self,
        net: PoseNet,
        codec: Codec,
        perm: Tensor,
        scorers: Mapping[str, Scorer],
        readouts: list[str] | None = None,
        optimizer: Callable[[Any], Optimizer] | None = None,
        schedule: Callable[..., LRScheduler] | None = None,
        flip_test: bool = True,
        seed: int = 0,
        micro_batch: int | None = None,
    ) -> None:
        super().__init__()
        self.net, self.codec = net, codec
        self.perm: Tensor
        self.register_buffer("perm", perm, persistent=False)
        self.readouts = list(readouts or codec.readouts)
        self.scorers, self.boxes = dict(scorers), list(scorers)
        # One for each readout, by kind of boxes; in modules, so that they move to the device.
        self.gathers = nn.ModuleList(nn.ModuleList(Gather() for _ in self.readouts) for _ in self.boxes)
        self.make_optimizer, self.make_schedule = optimizer, schedule
        self.flip_test, self.seed, self.micro_batch = flip_test, seed, micro_batch
        self._last_step: tuple[Callable[[], bool], int, Tensor] | None = None
        self.scored: dict[str, dict[str, Scored]] = {}
        self.score_head: ConfidenceHead | None = None
        self.outputs: list[int] | slice = slice(None)

    @property
    def scorer(self) -> Scorer:
        """The scorer of the first kind of boxes; those of other boxes are of the same class."""
        return self.scorers[self.boxes[0]]

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load tensors; a checkpoint from before scores had a temperature leaves it at 1."""
        return super().load_state_dict({"codec.temperature": torch.tensor(1.0), **state_dict}, strict, assign)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the network's randomness by (seed, epoch, step, rank) alone, so that resuming changes nothing."""
        torch.manual_seed(hash((self.seed, self.current_epoch, batch_idx, self.global_rank)) % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch, summed over stacks, or what is left of it to differentiate.

        Losses are means over samples, so that pieces of a batch count by their size. The gradients of all pieces but
        the last have been added up when this returns.
        """
        self._stop_if_diverged()
        self.zero_grad()
        size = len(batch.index)
        parts = (batch.image, *batch.labels)
        *first, last = zip(*(part.split(self.micro_batch or size) for part in parts), strict=True)
        total = torch.zeros((), device=batch.image.device)
        for piece in first:
            loss = self._loss(*piece) * (len(piece[0]) / size)
            with torch.autocast(loss.device.type, enabled=False):
                self.trainer.strategy.backward(loss, None)
            total += loss.detach()
        loss = self._loss(*last) * (len(last[0]) / size)
        total += loss.detach()
        # Read one step later, when it has long arrived.
        self._last_step = (read_later(torch.isfinite(total)), batch_idx, batch.index)
        # Progress hands it to the loggers.
        self.log("train/loss", total, logger=False, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss

    def _loss(self, image: Tensor, *labels: Tensor) -> Tensor:
        out = self.net(image)
        # In bfloat16 coordinates, and gradients through them, would be off by a part of a bin.
        with torch.autocast(image.device.type, enabled=False):
            target, weight = self.codec.encode(*labels)
            stacks = out if isinstance(out, Stacks) else (out,)
            return torch.stack([self.codec.loss(stack, target, weight) for stack in stacks]).sum()

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Do nothing: Lightning calls this between a training step, which adds gradients up, and its backward pass."""

    def on_train_epoch_end(self) -> None:
        """Check that loss and weights are finite after the epoch, before anything is saved."""
        self._stop_if_diverged()
        bad = [name for name, p in self.net.named_parameters() if not torch.isfinite(p).all()]
        if bad:
            raise Failed(
                f"weights are not finite after epoch {self.current_epoch}, for example {bad[0]}; the run stops and "
                "keeps its last checkpoint, of the epoch before. Lower optim.lr"
            )

    def _stop_if_diverged(self) -> None:
        if self._last_step is None:
            return
        finite, batch_idx, index = self._last_step
        self._last_step = None
        if not finite():
            raise Failed(
                f"loss is not finite in epoch {self.current_epoch}, batch {batch_idx} (instances "
                f"{index[:8].tolist()}{'...' if len(index) > 8 else ''}); the run stops and keeps its last checkpoint, "
                "of the epoch before. Lower optim.lr, or look at these samples"
            )

    def predict_batch(self, *scales: Tensor) -> Any:
        """Return the output for uint8 images (B, C, H, W) at one or several scales, with the flip test if it is on."""
        outs = []
        for image in scales:
            out = self.net(image)
            if self.flip_test:
                out = self.codec.merge(out, self.net(self.codec.mirror(image)), self.perm)
            outs.append(out)
        return self.codec.aggregate(outs)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Decode a batch with every readout and gather the points; in single precision whatever training takes.

        In bfloat16 the logits of neighbouring SimCC bins round to the same number, and the peak moves by some bins.
        """
        with torch.autocast(batch.image.device.type, enabled=False):
            out = self.predict_batch(*batch.scales)
            decoded = self.codec.decode_each(out, self.readouts)
            if self.score_head is not None:
                decoded = rescore(self.score_head, self.net, self.codec, batch.image, decoded)
        for points, gather in zip(decoded, self._gathers(dataloader_idx), strict=True):
            gather.update(batch.index, batch.crop, points, self.outputs)

    def on_validation_epoch_start(self) -> None:
        """Check that the last training step was sound, and drop earlier predictions."""
        self._stop_if_diverged()
        for i in range(len(self.boxes)):
            for gather in self._gathers(i):
                gather.reset()

    def on_validation_epoch_end(self) -> None:
        """Score every readout with the boxes that were evaluated, and log the values."""
        self.scored = {}
        threshold = score_threshold(self.codec)
        for i, boxes in enumerate(self.boxes if self.trainer.testing else self.boxes[:1]):
            self.scored[boxes] = {}
            for name, gather in zip(self.readouts, self._gathers(i), strict=True):
                predictions = gather.predictions(threshold)
                scores = self.scorers[boxes](predictions)
                self.scored[boxes][name] = Scored(predictions, scores)
                keys = [f"val/{name}/"] + (["val/"] if name == self.readouts[0] else [])
                self.log_dict({f"{key}{k}_{boxes}": v for key in keys for k, v in scores.values.items()})

    # The evaluation after training is Lightning's test.
    test_step = validation_step
    on_test_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end

    def on_train_epoch_start(self) -> None:
        """Drop the scores of the epoch before."""
        self.scored = {}

    def _gathers(self, i: int) -> Iterable[Gather]:
        return cast(Iterable[Gather], self.gathers[i])

    def configure_optimizers(self) -> Any:
        """Return the optimiser and the schedule, which is stepped after every step."""
        assert self.make_optimizer is not None and self.make_schedule is not None
        optimizer = self.make_optimizer(self.parameters())
        total = int(self.trainer.estimated_stepping_batches)
        per_epoch = total // max(1, self.trainer.max_epochs or 1)
        schedule = self.make_schedule(optimizer, total_steps=total, steps_per_epoch=per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
