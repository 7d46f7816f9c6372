"""Every row of every sweep, in both modes: it composes, its head learns, its codec decodes.

Codecs encode, score and decode what a perfect head would emit, and heads are tried on features of their backbone's
shapes, both at the row's own size; heads with options of their own take a step. tests/training has heads as
representations have them, whole networks, and trained runs of each form of output.
"""

import re
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from poserep.config import OmegaConf, composing, make
from poserep.data.from_config import skeleton_of
from poserep.geometry import Size
from poserep.models import HeadSpec, Stacks
from poserep.overrides import SWEEPS
from poserep.runs.create import prepare, resolved
from poserep.sweeps.sweep_file import complete_table, compositions, read_sweep, table_names
from poserep.sweeps.table import MODES, cells_of
from poserep.training import network
from poserep.training.fit import fit
from poserep.training.learning_rate import effective_lr

NOWHERE = "data.root=nowhere"
NAMES = [path.stem for path in sorted(SWEEPS.glob("*.yaml"))]
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


def test_sweeps_compose_as_they_are():
    """Those that measure, one without recipes, one with, and one that includes another; rows are composed below."""
    with composing(SWEEPS) as compose:
        for name in [*sorted({*NAMES} - {*table_names()}), "demo", "simcc-table1", "simdr-fig3"]:
            cfg = compose((), name).cfg
            assert cfg.study == name
            assert all(len(cfg.table.rows) == len(table.rows) for table in tables(name).values())


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_says_what_it_is_and_is_named_like_its_study(name):
    text = (SWEEPS / f"{name}.yaml").read_text()
    assert text.startswith("# ") and read_sweep(SWEEPS, name)["study"] == name
    # Without it the rows would be left aside, and the configuration trained once.
    multirun = "mode: MULTIRUN" in text or re.search(r"^  - (simcc|simdr)-\w+$", text, re.MULTILINE)
    assert multirun or name not in table_names()


@pytest.mark.parametrize("name", NAMES)
def test_rows_state_their_recipe_in_full_and_are_one_network_in_both_modes(name):
    """A default that changes changes no paper's table."""
    overridden = read_sweep(SWEEPS, name)["overridden"]
    groups = {key: overridden[key] for key in ("backbone", "data", "representation", "size") if key in overridden}
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
    xy, *others = codec.example(skeleton.num_keypoints)
    target, weight = codec.encode(torch.full_like(xy, 8.0), *others)
    perfect = codec.oracle(target)
    assert torch.isfinite(codec.loss(perfect, target, weight))
    for readout in codec.readouts:
        points = codec.decode(perfect, readout)
        assert (points.xy - 8).abs().max() < 4 and ((points.score >= 0) & (points.score <= 1)).all()
        codec.decode(codec.merge(perfect, perfect, skeleton.flip_perm()), readout)


@cache
def shapes(node: str, size: Size, num_keypoints: int, channels: int, multiscale: bool):
    """A backbone of which only the shapes of the features are known; built without memory for its weights."""
    cfg = OmegaConf.create({"backbone": OmegaConf.create(node)})
    with torch.device("meta"):
        backbone = network.make_backbone(cfg, size, num_keypoints, channels, multiscale)
    return SimpleNamespace(channels=backbone.channels, strides=backbone.strides, multiple=backbone.multiple)


def check_head(cfg, codec, skeleton, step: bool) -> None:
    """Try a head as building a network does, and with ``step`` that its loss gives every parameter a gradient."""
    size, node = Size.parse(cfg.input_size), network.head_node(cfg)
    multiscale = getattr(network.resolve_name(node._target_), "multiscale", False)
    channels = len(cfg.data.pixels["mean"]) if cfg.data.get("pixels") else 3
    node_without_weights = {key: None if key == "weights" else value for key, value in cfg.backbone.items()}
    bare = OmegaConf.to_yaml(node_without_weights, resolve=True)
    # Shapes of features do not depend on the size, which has to suit the backbone.
    backbone = shapes(bare, Size(128, 128), skeleton.num_keypoints, channels, multiscale)
    assert size.height % backbone.multiple == size.width % backbone.multiple == 0
    head = make(node, HeadSpec(backbone.channels, backbone.strides, skeleton.num_keypoints, codec.x, codec.y))
    assert head.form == codec.form
    features = network.features_of(backbone, size, skeleton.num_keypoints)
    network._try(head, codec, features, skeleton.flip_perm())
    if step:
        xy, *others = (torch.cat([label, label]) for label in codec.example(len(skeleton.names)))
        target, weight = codec.encode(torch.full_like(xy, 8.0), *others)
        out = head.train()([torch.randn(2, *zeros.shape[1:]) for zeros in features])
        sum(codec.loss(o, target, weight) for o in (out if isinstance(out, Stacks) else (out,))).backward()
        assert all(p.grad is not None for p in head.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", table_names())
def test_rows_compose_learn_and_decode(name):
    torch.manual_seed(0)
    groups = read_sweep(SWEEPS, name)["overridden"]
    for table in tables(name).values():
        readouts = {row.name: row.readout for row in table.rows}
        cells = cells_of(table, ["seed=0"])
        # Modes and tables share rows; in its second mode a table is composed as far as it says anything new.
        cells = [cell for cell in cells if unseen(table.data, groups, sorted(cell.overrides))]
        if table.mode != MODES[0]:
            cells = [cell for cell in cells if any([unseen(name, override) for override in cell.overrides])]
        for cell in cells:
            SEEN.update(name + override for override in cell.overrides)
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
            codec = make(cfg.representation.codec, size=size, align=cfg.align, sigmas=skeleton.sigmas)
            assert {readouts[row] for row in cell.rows} - {None} <= set(codec.readouts)
            if unseen(cfg.representation.codec, size, cfg.align, skeleton.name):
                check_codec(codec, skeleton)
            if unseen(cfg.backbone, cfg.representation.head, codec.x, codec.y, codec.form, skeleton.name):
                own = any("representation.head" in override for override in cell.overrides)
                check_head(cfg, codec, skeleton, step=own and unseen(cfg.representation.head))


# A row of each of our own studies of representations; larger networks and inputs are as the others.
TRAINED = [
    ("embedded", "published", "representation=srpose", []),
    ("ladder", "controlled", "representation=udp_combined", ["size=64x64"]),
    ("scores", "controlled", "representation=probmap", ["size=64x64"]),
    ("initialisation", "controlled", "representation=ipr_debiased", ["size=64x64", "backbone=resnet18_s8"]),
    ("rtmpose", "controlled", "representation=rtmcc_mlecc", ["size=64x64", "backbone=cspnext_t"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mode", "row", "smaller"), TRAINED)
def test_a_row_trains_and_is_evaluated(name, mode, row, smaller, synthetic, tmp_path):
    given = [f"data.root={synthetic}", "data.prepare.train=8", "data.prepare.val=6", f"runs={tmp_path}", "boxes=[gt]"]
    cells = cells_of(tables(name)[mode], [*given, "data=synthetic", "trainer=smoke", "seed=0", *smaller])
    # The last of them begins with another network where any does, which smoke runs leave out.
    cell = [cell for cell in cells if row in cell.overrides][-1]
    (cfg,) = compositions(name, [cell.overrides])
    result = fit(prepare(cfg, "backbone"))
    assert result["status"] == "finished" and result["config"]["study"] == name and result["config"]["init"] is None
