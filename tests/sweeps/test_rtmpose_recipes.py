"""RTMPose's recipes compose to networks whose optimiser and schedule are those of its code."""

import pytest
import torch

from poserep.config import composing, make
from poserep.data.from_config import skeleton_of
from poserep.files import load_yaml
from poserep.overrides import CONF
from poserep.sweeps.table import read_table
from poserep.training.learning_rate import effective_lr
from poserep.training.network import build_network

RECIPES = load_yaml((CONF / "recipes" / "rtmpose.yaml").read_text())


def settings(*named: str) -> list[str]:
    table = read_table({"title": "T", "rows": [{"name": "a", "published": list(named)}], "recipes": RECIPES})
    return [*table.settings(table.rows[0]).values()]


@pytest.fixture(scope="module")
def compose():
    with composing() as composed:
        yield lambda *words: composed(["data=coco", *words]).cfg


def test_all_recipes_compose(compose):
    for name in RECIPES:
        compose("representation=rtmcc", "optim=adamw_flat_cosine", *settings(name))


def test_the_smallest_model_trains_as_published(compose):
    cfg = compose(*settings("rtmpose_t"), "trainer.channels_last=false")
    net, codec = build_network(cfg, skeleton_of(cfg))
    assert sum(p.numel() for p in net.parameters()) == 3_337_007 and codec.label.sigma == [4.9, 5.66]
    assert (cfg.trainer.ema, cfg.optim.optimizer.weight_decay, cfg.trainer.epochs) == (None, 0, 420)
    assert compose(*settings("rtmpose_m", "large_input")).representation.codec.label.sigma == [6, 6.93]
    assert effective_lr(cfg.optim, cfg.trainer.batch) == 4e-3
    optimizer = make(compose(*settings("rtmpose_m")).optim.optimizer, lr=4e-3)(net.parameters())
    kept = [{id(p) for p in group["params"]} for group in optimizer.param_groups]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.05, 0]
    named = dict(net.named_parameters())
    assert {id(p) for p in named.values() if p.ndim > 1} == kept[0] and not kept[0] & kept[1]
    assert all(
        id(named[name]) in kept[1] for name in ("head.final_layer.bias", "backbone.trunk.model.stem.0.bn.weight")
    )
    make(cfg.optim.schedule)(optimizer, total_steps=4000, steps_per_epoch=10)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([4e-8, 4e-8])


def test_augmentation_makes_crops(compose):
    from poserep.data.augment import recolouring

    pixels = recolouring(make(compose("augment=rtmpose").augment).pixels)
    image = torch.randint(0, 256, (64, 48, 3), dtype=torch.uint8).numpy()
    assert pixels(image=image)["image"].shape == image.shape
