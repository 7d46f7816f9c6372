"""Micro-batches add up to the gradient of the whole batch, and keep the activations of one piece at a time."""

import weakref
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from poserep.config import compose
from poserep.data.dataset import Batch
from poserep.geometry import Crop, Size
from poserep.overrides import CONF
from poserep.skeleton import COCO
from poserep.training.module import PoseModule
from poserep.training.network import build_network

# Sampling and NerPE draw for a batch, whatever its size.
OTHERS = ("bottomup", "bottomup_sr", "bottomup_higher", "ipr_sampled", "nerpe")
REPRESENTATIONS = sorted(path.stem for path in (CONF / "representation").glob("*.yaml") if path.stem not in OTHERS)
# What float32 rounds is multiplied by a softmax of beta 10 or by dividing by a likelihood; a map's risk is nearly even.
TOLERANCE = dict.fromkeys(("ipr_debiased", "rtmcc", "rtmcc_mlecc", "probmap"), 1e-5)


def without_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(1, child.num_features))
        without_batch_norm(child)


def module_of(representation: str) -> tuple[PoseModule, Batch]:
    """A network without batch norms, and a batch of five for it, of which some joints are not labelled."""
    wide = ["backbone=resnet18"] if representation == "srpose" else []
    cfg = compose([f"representation={representation}", "trainer.channels_last=false", *wide]).cfg
    torch.manual_seed(0)
    net, codec = build_network(cfg, COCO)
    without_batch_norm(net)
    module = PoseModule(net, codec, COCO.flip_perm(), {"gt": None})
    module.log = lambda *_, **__: None
    module.trainer = SimpleNamespace(strategy=SimpleNamespace(backward=lambda loss, _: loss.backward()))
    size = Size.parse(cfg.input_size)
    xy = torch.rand(5, 17, 2) * torch.tensor([size.width, size.height]) - 0.5
    # Samples differ in how many joints are labelled.
    weight = (torch.rand(5, 17) < torch.linspace(0, 1, 5)[:, None]).float()
    image = torch.randint(0, 256, (5, 3, *size), dtype=torch.uint8)
    return module, Batch(image, xy, weight, Crop(torch.eye(3).double()[None, :2]), torch.arange(5))


def gradient(module: PoseModule, batch: Batch, micro_batch: int | None) -> tuple[torch.Tensor, int]:
    """The gradient of a step, and the most bytes of activations that it held at once."""
    module.micro_batch, held, most = micro_batch, 0, 0

    class Kept:
        def __init__(self, tensor: torch.Tensor) -> None:
            nonlocal held, most
            self.tensor = tensor
            # Weights are kept anyway.
            size = 0 if tensor.is_leaf and tensor.requires_grad else tensor.numel() * tensor.element_size()
            held, most = held + size, max(most, held + size)
            weakref.finalize(self, drop, size)

    def drop(size: int) -> None:
        nonlocal held
        held -= size

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        module.training_step(batch, 0).backward()
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None]).double(), most


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_micro_batches_add_up_to_the_gradient_of_the_whole_batch(representation):
    module, batch = module_of(representation)
    whole, all_kept = gradient(module, batch, None)
    # Two of two samples and one of one.
    pieces, kept = gradient(module, batch, 2)
    assert (pieces - whole).norm() <= TOLERANCE.get(representation, 1e-6) * whole.norm() and whole.norm() > 0
    assert kept < 0.5 * all_kept
