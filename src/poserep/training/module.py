"""The only place where backbone, head, codec and metrics meet."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import lightning
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from poserep.batch import Batch
from poserep.codecs import Codec
from poserep.errors import Failed
from poserep.metrics import PoseMetric
from poserep.models import PoseNet, Stacks


def soon(flag: Tensor) -> Callable[[], bool]:
    """A boolean of the device, asked for now and read later, without waiting for what is queued in between."""
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


class PoseModule(lightning.LightningModule):
    """Trains one representation and evaluates all its readouts in one pass.

    Logged keys are the same for every representation: ``train/loss``, ``val/<metric>_<boxes>`` for the default
    readout and ``val/<readout>/<metric>_<boxes>`` for each.

    Args:
        net: Images to outputs.
        codec: Reads what the head emits.
        perm: (K,) from `Skeleton.flip_perm`.
        metrics: By kind of boxes, in the order of the evaluation loaders: makes one metric per readout.
        readouts: The codec's readouts to evaluate, the default one first; None takes all.
        optimizer: Makes the optimiser from parameters.
        schedule: Makes the schedule from the optimiser, ``total_steps`` and ``steps_per_epoch``.
        flip_test: Average over the mirrored image.
        seed: Of the run.
    """

    def __init__(
        self,
        net: PoseNet,
        codec: Codec,
        perm: Tensor,
        metrics: Mapping[str, Callable[[], PoseMetric]],
        readouts: list[str] | None = None,
        optimizer: Callable[[Any], Optimizer] | None = None,
        schedule: Callable[..., LRScheduler] | None = None,
        flip_test: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.net, self.codec = net, codec
        self.perm: Tensor
        self.register_buffer("perm", perm, persistent=False)
        self.readouts = list(readouts or codec.readouts)
        for readout in self.readouts:
            codec.readout(readout)
        # Which of the metrics' boxes the evaluation loaders stand for, in their order.
        self.boxes = list(metrics)
        self.metrics = nn.ModuleDict(
            {boxes: nn.ModuleDict({name: make() for name in self.readouts}) for boxes, make in metrics.items()}
        )
        self.make_optimizer, self.make_schedule = optimizer, schedule
        self.flip_test, self.seed = flip_test, seed
        self._last_step: tuple[Callable[[], bool], int, Tensor] | None = None
        # What the last evaluation found, by boxes and readout.
        self.results: dict[str, dict[str, dict[str, float]]] = {}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As every module's; a checkpoint from before scores had a temperature leaves it at 1."""
        return super().load_state_dict({"codec.temperature": torch.tensor(1.0), **state_dict}, strict, assign)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Let anything random in the network depend on (seed, epoch, step, rank) alone: resuming changes nothing."""
        torch.manual_seed(hash((self.seed, self.current_epoch, batch_idx, self.global_rank)) % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch."""
        self._stop_if_diverged()
        out = self.net(batch.image)
        # Coordinates in bfloat16 are off by a part of a bin, and so would be gradients that pass through them.
        with torch.autocast(batch.image.device.type, enabled=False):
            target, weight = self.codec.encode(batch.xy, batch.weight)
            stacks = out if isinstance(out, Stacks) else (out,)
            loss = torch.stack([self.codec.loss(stack, target, weight) for stack in stacks]).sum()
        # Looked at one step later, when the answer has long arrived.
        self._last_step = (soon(torch.isfinite(loss.detach())), batch_idx, batch.index)
        self.log("train/loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(batch.index), sync_dist=True)
        return loss

    def on_train_epoch_end(self) -> None:
        """See that the last step of the epoch was sound, in loss and in weights, before anything is saved."""
        self._stop_if_diverged()
        bad = [name for name, p in self.net.named_parameters() if not torch.isfinite(p).all()]
        if bad:
            raise Failed(
                f"weights are not finite after epoch {self.current_epoch}, as {bad[0]}; the run stops and its last "
                "checkpoint, of the epoch before, stays. Lower optim.lr"
            )

    def _stop_if_diverged(self) -> None:
        if self._last_step is None:
            return
        finite, batch_idx, index = self._last_step
        self._last_step = None
        if not finite():
            raise Failed(
                f"loss is not finite in epoch {self.current_epoch}, batch {batch_idx} (instances "
                f"{index[:8].tolist()}{'...' if len(index) > 8 else ''}); the run stops and its last checkpoint, of "
                "the epoch before, stays. Lower optim.lr, or look at these samples"
            )

    def predict_batch(self, image: Tensor) -> Any:
        """Output for uint8 images (B, C, H, W), flip test included."""
        out = self.net(image)
        if self.flip_test:
            out = self.codec.merge(out, self.net(self.codec.mirror(image)), self.perm)
        return out

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Decode with every readout and hand the points to the metrics; in single precision whatever training takes.

        In bfloat16 the logits of neighbouring SimCC bins round to the same number, and the peak moves by some bins.
        """
        with torch.autocast(batch.image.device.type, enabled=False):
            out = self.predict_batch(batch.image)
            found = {name: self.codec.decode(out, name) for name in self._metrics(dataloader_idx)}
        for name, metric in self._metrics(dataloader_idx).items():
            points = found[name]
            metric.update(batch.index, points._replace(xy=batch.crop.to_image(points.xy)))

    def on_validation_epoch_end(self) -> None:
        """Score all readouts."""
        self.results = {}
        for i, boxes in enumerate(self.boxes):
            self.results[boxes] = {}
            for name, metric in self._metrics(i).items():
                values = self.results[boxes][name] = metric.compute()
                keys = [f"val/{name}/"] + (["val/"] if name == self.readouts[0] else [])
                self.log_dict({f"{key}{k}_{boxes}": v for key in keys for k, v in values.items()})

    def on_validation_epoch_start(self) -> None:
        """See that the last training step was sound, and forget earlier predictions."""
        self._stop_if_diverged()
        for i in range(len(self.boxes)):
            for metric in self._metrics(i).values():
                metric.reset()

    def _metrics(self, i: int) -> dict[str, PoseMetric]:
        return self.metrics_of(self.boxes[i])

    @property
    def metric(self) -> PoseMetric:
        """One of the metrics; all are of a kind."""
        return next(iter(self._metrics(0).values()))

    def metrics_of(self, boxes: str) -> dict[str, PoseMetric]:
        """The metric of every readout for one kind of boxes."""
        return dict(cast(nn.ModuleDict, self.metrics[boxes]).items())  # type: ignore[arg-type]

    def configure_optimizers(self) -> Any:
        """Optimiser and per-step schedule."""
        assert self.make_optimizer is not None and self.make_schedule is not None
        optimizer = self.make_optimizer(self.parameters())
        total = int(self.trainer.estimated_stepping_batches)
        per_epoch = total // max(1, self.trainer.max_epochs or 1)
        schedule = self.make_schedule(optimizer, total_steps=total, steps_per_epoch=per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
