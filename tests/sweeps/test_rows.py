"""Every row of every sweep, in both modes: it composes, its head learns, its codec decodes.

Codecs encode, score and decode what a perfect head would emit, at the row's own size. Heads are tried at that size and
learn from made-up features of their backbone's shapes, of images of 128x96 where rows have larger ones. Whole networks
learn once for each kind of backbone, and a row with each form of output goes all the way through training and
evaluation on drawn people.
"""

from copy import deepcopy
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import pytest
import torch
import yaml
from torch import nn

from poserep.config import OmegaConf, composing, make
from poserep.data.from_config import skeleton_of
from poserep.geometry import Size
from poserep.models import UNREAD, HeadSpec, Stacks
from poserep.overrides import CONF, SWEEPS, key_of
from poserep.runs.create import prepare, resolved
from poserep.sweeps.sweep_file import cells_of, complete_table, compositions, read_sweep, table_names
from poserep.sweeps.table import MODES
from poserep.training import network
from poserep.training.fit import fit
from poserep.training.learning_rate import effective_lr

NOWHERE = "data.root=nowhere"
NAMES = [path.stem for path in sorted(SWEEPS.glob("*.yaml"))]
LARGE = 128 * 128
CODEC = "representation.codec."
STATED = {
    "size", "backbone", "representation", "align", "augment", "flip_test", "optim", "optim.lr", "optim.rule",
    "optim.schedule.milestones", "trainer.batch", "trainer.epochs", "trainer.precision",
}  # fmt: skip
# What rows as their papers made them state beside, by representation.
AXES = {f"{CODEC}k", f"{CODEC}criterion.reduction"}
PUBLISHED = {
    "simcc": AXES,
    "simcc_laplace": AXES,
    "simcc_equal": {*AXES, f"{CODEC}label.smoothing"},
    "simcc_onehot": {*AXES, f"{CODEC}label.smoothing"},
    "heatmap": {f"{CODEC}score"},
    "heatmap_unbiased": {f"{CODEC}score"},
}


@cache
def tables(name):
    """The table of a sweep file in both modes; empty if its rows are not runs."""
    if name not in table_names():
        return {}
    table = complete_table(name)
    return {mode: replace(table, mode=mode) for mode in MODES}


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_composes_as_it_is(name):
    with composing(SWEEPS) as compose:
        cfg = compose((), name).cfg
    assert cfg.study == name and (SWEEPS / f"{name}.yaml").read_text().startswith("# ")
    assert all(len(cfg.table.rows) == len(table.rows) for table in tables(name).values())


@pytest.mark.parametrize("name", NAMES)
def test_rows_state_their_recipe_in_full_and_are_one_network_in_both_modes(name):
    """A default that changes changes no paper's table."""
    groups = {
        key: value
        for key, value in read_sweep(SWEEPS, name)["overridden"].items()
        if key in ("backbone", "data", "representation", "size")
    }
    networks = []
    for mode, table in tables(name).items():
        settings = {row.name: table.settings(row) for row in table.runnable}
        parts = ("backbone", "representation.head", "size")
        networks.append({row: {o for key, o in s.items() if key.startswith(parts)} for row, s in settings.items()})
        for row, overrides in settings.items() if table.paper else ():
            stated = {**groups, **{key: o.split("=", 1)[1] for key, o in overrides.items()}}
            needed = STATED | (PUBLISHED.get(stated["representation"], set()) if mode == "published" else set())
            if stated["data"] in ("coco", "coco_testdev", "crowdpose"):
                needed |= {"data.detections", "data.metric.nms_threshold", f"{CODEC}score_threshold"}
            assert needed <= set(stated), f"{row}: {needed - set(stated)}"
    # HUMAN4D's code fuses branches in turn; its controlled mode does not.
    if networks and tables(name)["published"].data != "human4d":
        assert networks[0] == networks[1]


SEEN: set[str] = set()


def unseen(*parts) -> bool:
    """Whether such parts of a configuration are met for the first time."""
    nodes = [OmegaConf.to_yaml(part, resolve=True) if OmegaConf.is_config(part) else str(part) for part in parts]
    new = (key := "".join(nodes)) not in SEEN
    SEEN.add(key)
    return new


def check_schedule(cfg) -> None:
    """Optimiser and schedule can be made, and end within the training."""
    optimizer = make(cfg.optim.optimizer, lr=effective_lr(cfg.optim, cfg.trainer.batch))([nn.Parameter(torch.ones(1))])
    schedule = make(cfg.optim.schedule)(optimizer, total_steps=10 * cfg.trainer.epochs, steps_per_epoch=10)
    optimizer.step()
    schedule.step()
    assert 0 < optimizer.param_groups[0]["lr"] <= cfg.optim.lr * 10
    assert all(milestone < cfg.trainer.epochs for milestone in cfg.optim.schedule.get("milestones", []))


def check_codec(codec, skeleton) -> None:
    """Do all that is done with the output of a network, with a perfect one."""
    xy, ones = torch.full((1, skeleton.num_keypoints, 2), 8.0), torch.ones(1, skeleton.num_keypoints)
    target, weight = codec.encode(xy, ones)
    perfect = codec.oracle(target)
    assert torch.isfinite(codec.loss(perfect, target, weight))
    for readout in codec.readouts:
        points = codec.decode(perfect, readout)
        assert (points.xy - 8).abs().max() < 4 and ((points.score >= 0) & (points.score <= 1)).all()
        codec.decode(codec.merge(perfect, perfect, skeleton.flip_perm()), readout)


@cache
def shapes(node: str, size: Size, num_keypoints: int, channels: int, multiscale: bool):
    """A backbone of which only the shapes of the features are known; built without memory for its weights."""
    with torch.device("meta"):
        backbone = network.make_backbone(
            OmegaConf.create({"backbone": OmegaConf.create(node)}), size, num_keypoints, channels, multiscale
        )
    return SimpleNamespace(channels=backbone.channels, strides=backbone.strides, multiple=backbone.multiple)


def check_head(cfg, size: Size, learns: bool) -> None:
    """Try a head at a size, as building a network does, and let it learn from random features."""
    skeleton = skeleton_of(cfg)
    codec = make(cfg.representation.codec, size=size, align=cfg.align)
    node = network.head_node(cfg)
    multiscale = getattr(network.resolve_name(node._target_), "multiscale", False)
    channels = len(cfg.data.pixels["mean"]) if cfg.data.get("pixels") else 3
    node_without_weights = {key: None if key == "weights" else value for key, value in cfg.backbone.items()}
    bare = OmegaConf.to_yaml(node_without_weights, resolve=True)
    # Shapes of features do not depend on the size, which has to suit the backbone.
    backbone = shapes(bare, Size(128, 128), skeleton.num_keypoints, channels, multiscale)
    assert size.height % backbone.multiple == size.width % backbone.multiple == 0
    head = make(node, HeadSpec(backbone.channels, backbone.strides, skeleton.num_keypoints, codec.x, codec.y))
    assert head.form == codec.form != UNREAD
    features = network.features_of(backbone, size, skeleton.num_keypoints)
    network._try(head, codec, features, skeleton.flip_perm())
    if learns:
        learn(head, [torch.randn(2, *zeros.shape[1:]) for zeros in features], codec, size, skeleton.num_keypoints)


def learn(module: nn.Module, inputs, codec, size: Size, num_keypoints: int) -> None:
    """Check that the loss is finite and gives every parameter a gradient."""
    xy = torch.rand(2, num_keypoints, 2) * torch.tensor([size.width - 1, size.height - 1])
    target, weight = codec.encode(xy, torch.ones(2, num_keypoints))
    parameters = [p for p in module.parameters() if p.requires_grad]
    if parameters:
        out = module.train()(inputs)
        loss = sum(codec.loss(o, target, weight) for o in (out if isinstance(out, Stacks) else (out,)))
        assert torch.isfinite(loss)
        loss.backward()
        assert all(p.grad is not None for p in parameters) and any(p.grad.any() for p in parameters)


@pytest.mark.parametrize("name", table_names())
def test_rows_compose_learn_and_decode(name):
    torch.manual_seed(0)
    groups = read_sweep(SWEEPS, name)["overridden"]
    for table in tables(name).values():
        readouts = {row.name: row.readout for row in table.rows}
        cells = cells_of(table, {"seed": ["seed=0"]})
        # Modes and tables share rows.
        cells = [cell for cell in cells if unseen(table.data, groups, sorted(cell.overrides))]
        composed = compositions(name, [[*cell.overrides, NOWHERE] for cell in cells])
        for cell, cfg in zip(cells, composed, strict=True):
            # Unknown keys and useless values are refused there.
            resolved(cfg, "backbone")
            # Test-dev is evaluated, not trained on.
            assert cfg.study == name and table.data.removesuffix("-test-dev") in ("", cfg.data.name), cell
            if unseen(cfg.optim, cfg.trainer.batch, cfg.trainer.epochs, cfg.augment):
                check_schedule(cfg)
                make(cfg.augment)
            size, skeleton = Size.parse(cfg.input_size), skeleton_of(cfg)
            codec = make(cfg.representation.codec, size=size, align=cfg.align)
            assert {readouts[row] for row in cell.rows} - {None} <= set(codec.readouts)
            if unseen(cfg.representation.codec, size, cfg.align, skeleton.name):
                check_codec(codec, skeleton)
            if unseen(cfg.backbone, cfg.representation.head, codec.x, codec.y, codec.form, skeleton.name):
                small = size if size.height * size.width <= LARGE or cfg.data.get("pixels") else Size(128, 96)
                check_head(cfg, size, learns=small == size)
                if small != size and unseen(cfg.backbone, cfg.representation, small, skeleton.name):
                    check_head(cfg, small, learns=True)


# The smallest backbone of each kind, with a representation that it is made for.
KINDS = {
    "resnet18_s8": "simcc", "resnet18": "heatmap", "hrnet_w18": "srpose", "hg4": "heatmap", "hrformer_s": "simcc_free",
    "tokenpose_s": "heatmap", "transpose_r": "heatmap", "transpose_h_s": "heatmap", "vitpose_s": "heatmap",
    "sh_4s": "heatmap", "hrnet_4s": "heatmap",
}  # fmt: skip


@pytest.mark.parametrize(("backbone", "representation"), KINDS.items())
def test_whole_networks_learn(backbone, representation):
    with composing() as compose:
        words = [f"backbone={backbone}", f"representation={representation}", NOWHERE, "trainer.channels_last=false"]
        cfg = compose([*words, *(["data=human4d"] if backbone.endswith("_4s") else [])]).cfg
    # An hourglass halves its maps down to one position at 64x64, which is too few to normalise over.
    size = Size(128, 128) if backbone == "hg4" else Size(64, 64)
    cfg.input_size, skeleton = str(size), skeleton_of(cfg)
    net, codec = network.build_network(cfg, skeleton)
    learn(net, torch.randn(2, net.channels, *size), codec, size, skeleton.num_keypoints)


def test_every_kind_of_backbone_is_tried():
    kinds = {yaml.safe_load(path.read_text())["_target_"] for path in (CONF / "backbone").glob("*.yaml")}
    assert kinds == {yaml.safe_load((CONF / "backbone" / f"{name}.yaml").read_text())["_target_"] for name in KINDS}


FORMS = [("simcc-table1", "heatmap"), ("embedded", "simcc"), ("embedded", "srpose"), ("embedded", "ipr")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "representation"), FORMS)
def test_a_row_of_each_form_of_output_trains_and_is_evaluated(name, representation, synthetic, tmp_path):
    given = [f"data.root={synthetic}", "data.prepare.train=8", "data.prepare.val=6", f"runs={tmp_path}", "boxes=[gt]"]
    given += ["data=synthetic", "trainer=smoke", "size=64x64", "seed=0"]
    given += ["backbone=resnet18"] if name != "embedded" else []
    keys = {key_of(override): [override] for override in given}
    cells = cells_of(tables(name)["published"], keys)
    cell = next(cell for cell in cells if f"representation={representation}" in cell.overrides)
    (cfg,) = compositions(name, [cell.overrides])
    result = fit(prepare(deepcopy(cfg), "backbone"))
    assert result["status"] == "finished" and result["config"]["study"] == name
    (by_readout,) = result["metrics"].values()
    assert all(0 <= values["AP"] <= 100 for values in by_readout.values())
