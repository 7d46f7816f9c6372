"""Every row of every sweep, in both modes: it composes, its network is built, learns and decodes.

Codecs encode, score and decode what a perfect head would say, and networks are built and tried at the row's own size.
On the features that their backbone makes of two images, heads take two steps and decode; maps of images larger than
128x128 are stepped at 128x96, which has the same strides. Whole networks take two steps once for each backbone, at the
smallest size that rows have, if that is no larger than 128x128, else at 64x64. A dozen rows, one of every kind, go
all the way through training and evaluation on drawn people at 64x64.
"""

import inspect
import json
from collections import defaultdict
from copy import deepcopy
from dataclasses import replace
from functools import cache, lru_cache

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from torch import nn

from poserep.config import by_size, make
from poserep.data.from_config import skeleton_of
from poserep.geometry import Size
from poserep.models import Stacks, TimmFeatures
from poserep.overrides import CONF, SWEEPS, key_of
from poserep.runs.create import prepare, resolved
from poserep.runs.plan import Cell
from poserep.sweeps.files import cells_of, complete_table, compositions, read_sweep, table_names
from poserep.sweeps.table import MODES, Table
from poserep.training import network
from poserep.training.build import effective_lr
from poserep.training.fit import fit
from poserep.training.network import build_network, make_backbone

# Nothing is read.
NOWHERE = "data.root=nowhere"
GROUPS = ("backbone", "data", "representation", "size")
# What about a codec no head sees.
CODEC = "representation.codec."
UNSEEN = {"bounds", "criterion", "flip_shift", "label", "merge_on", "quantise", "readouts", "score", "score_threshold"}
LARGE = 128 * 128
NAMES = table_names()


@cache
def read(name: str) -> Table:
    return complete_table(name)


@cache
def about(name: str, mode: str) -> Table:
    return replace(read(name), mode=mode)


@cache
def cells(name: str, mode: str) -> list[Cell]:
    """One for every distinct set of overrides, seeds aside."""
    return cells_of(about(name, mode), {"seed": ["seed=0"]})


STATED = {
    "size", "backbone", "representation", "align", "augment", "flip_test", "optim", "optim.lr", "optim.rule",
    "optim.schedule.milestones", "trainer.batch", "trainer.epochs", "trainer.precision",
}  # fmt: skip
# Of rows as their papers made them, by representation.
AXES = {f"{CODEC}k", f"{CODEC}criterion.reduction"}
# Of a network.
PARTS = ("backbone", "representation.head", "size")
CODES = {
    "simcc": AXES,
    "simcc_laplace": AXES,
    "simcc_equal": {*AXES, f"{CODEC}label.smoothing"},
    "simcc_onehot": {*AXES, f"{CODEC}label.smoothing"},
    "heatmap": {f"{CODEC}score"},
    "heatmap_unbiased": {f"{CODEC}score"},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [name for name in NAMES if read(name).paper])
def test_rows_state_their_recipe_in_full(name, mode):
    """Not what is usual just now: a default that changes changes no table."""
    about_table = about(name, mode)
    for row in about_table.runnable:
        said = {**defaults(name), **{key: o.split("=", 1)[1] for key, o in about_table.settings(row).items()}}
        wanted = set(STATED)
        if mode == "published":
            wanted |= CODES.get(said["representation"], set())
        if said["data"] in ("coco", "coco_testdev", "crowdpose"):
            wanted |= {"data.detections", "data.metric.nms_threshold", f"{CODEC}score_threshold"}
        assert wanted <= set(said), f"{row.name}: {wanted - set(said)}"


def test_sigmas_and_blur_follow_the_size():
    """Sigma of a heatmap and of SimCC and the blur of DARK, in bins: as published, else those of the nearest size."""
    small, usual, large = (1, 4, 3), (2, 6, 11), (3, 6, 11)
    widths = {
        "64x64": small, "128x96": small, "128x128": small, "256x192": usual, "256x256": usual, "384x288": large,
        "160x320": (1.79, 6, 5), "96x96": small, "224x224": usual, "192x192": usual, "320x256": large,
    }  # fmt: skip
    assert {size: tuple(by_size(size)) for size in widths} == widths
    assert {path.stem for path in (CONF / "size").glob("*.yaml")} < set(widths)


@pytest.mark.parametrize("name", [name for name in NAMES if read(name).data != "human4d"])
def test_a_row_is_the_same_network_in_both_modes(name):
    """HUMAN4D's code fuses branches in turn; its controlled mode does not."""
    nets = [
        {row.name: {o for key, o in about(name, mode).settings(row).items() if key.startswith(PARTS)} for row in rows}
        for mode in MODES
        for rows in [about(name, mode).runnable]
    ]
    assert nets[0] == nets[1]


def owned() -> dict[tuple[str, str], list[Cell]]:
    """The cells of every sweep and mode, without those that compose like one before."""
    found, seen = {}, set()
    for name in NAMES:
        sweep = yaml.safe_load((SWEEPS / f"{name}.yaml").read_text())
        base = json.dumps({key: value for key, value in sweep.items() if key not in ("study", "table")}, sort_keys=True)
        for mode in MODES:
            new = {(base, frozenset(cell.overrides)): cell for cell in cells(name, mode)}
            found[name, mode] = [cell for key, cell in new.items() if key not in seen]
            seen |= set(new)
    return found


OWNED = owned()


@cache
def defaults(name: str) -> dict[str, str]:
    return {g: v for g, v in read_sweep(SWEEPS, name)["overridden"].items() if g in GROUPS}


def chosen(name: str, cell: Cell) -> dict[str, str]:
    """The groups of a cell, those of the sweep where its rows say nothing."""
    said = {key_of(o): o.split("=", 1)[1] for o in cell.overrides}
    return {**defaults(name), **{g: v for g, v in said.items() if g in GROUPS}}


def makes_a_net(override: str) -> bool:
    key = key_of(override)
    if key.startswith(CODEC):
        return key.removeprefix(CODEC).split(".")[0] not in UNSEEN
    return key == "input_size" or (key.startswith(("backbone.", "representation.")) and key != "backbone.weights")


def all_nets() -> dict[str, list[tuple[str, ...]]]:
    """By backbone, the overrides that make a network, those of small images first."""
    found: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for name in NAMES:
        for mode in MODES:
            for cell in cells(name, mode):
                groups = chosen(name, cell)
                rest = sorted(o for o in cell.overrides if makes_a_net(o))
                found[groups.get("backbone", "default")].add((*sorted(f"{g}={v}" for g, v in groups.items()), *rest))
    return {backbone: sorted(nets, key=area) for backbone, nets in found.items()}


def area(overrides: tuple[str, ...]) -> int:
    size = next((o.split("=")[1] for o in overrides if o.startswith(("size=", "input_size="))), "64x64")
    return int(size.split("x")[0]) * int(size.split("x")[1])


NETS = all_nets()
TRIED: set[str] = set()


def try_codec(cfg: DictConfig, readouts: set[str]) -> None:
    """Everything that is done with an output of a network, done with a perfect one."""
    skeleton, size = skeleton_of(cfg), Size.parse(cfg.input_size)
    codec = make(cfg.representation.codec, size=size, align=cfg.align)
    assert readouts <= set(codec.readouts)
    node = OmegaConf.to_yaml(cfg.representation.codec, resolve=True)
    if (what := f"{node}{size}{cfg.align}{skeleton.name}") in TRIED:
        return
    TRIED.add(what)
    target, weight = codec.encode(
        torch.full((1, skeleton.num_keypoints, 2), 8.0), torch.ones(1, skeleton.num_keypoints)
    )
    perfect = codec.oracle(target)
    assert torch.isfinite(codec.loss(perfect, target, weight))
    for readout in codec.readouts:
        points = codec.decode(perfect, readout)
        assert (points.xy - 8).abs().max() < 4 and ((points.score >= 0) & (points.score <= 1)).all()
        codec.decode(codec.merge(perfect, perfect, skeleton.flip_perm()), readout)


@pytest.mark.parametrize(("name", "mode"), [key for key, cells in OWNED.items() if cells])
def test_rows_compose(name, mode):
    wanted = [[*cell.overrides, NOWHERE] for cell in OWNED[name, mode]]
    readouts = {row.name: row.readout for row in about(name, mode).rows}
    for cell, cfg in zip(OWNED[name, mode], compositions(name, wanted), strict=True):
        # Unknown keys and settings of no use are refused there.
        resolved(cfg, "backbone")
        # Test-dev is evaluated, not trained on.
        assert cfg.study == name and about(name, mode).data.removesuffix("-test-dev") in ("", cfg.data.name), cell
        optimizer = make(cfg.optim.optimizer, lr=effective_lr(cfg.optim, cfg.trainer.batch))(
            [nn.Parameter(torch.ones(1))]
        )
        schedule = make(cfg.optim.schedule)(optimizer, total_steps=10 * cfg.trainer.epochs, steps_per_epoch=10)
        optimizer.step()
        schedule.step()
        assert 0 < optimizer.param_groups[0]["lr"] <= cfg.optim.lr * 10
        assert all(m < cfg.trainer.epochs for m in cfg.optim.schedule.get("milestones", [])), cell
        make(cfg.augment)
        try_codec(cfg, {readouts[row] for row in cell.rows} - {None})


@pytest.mark.parametrize("name", NAMES)
def test_sweep_composes_as_it_is(name):
    with initialize_config_dir(str(SWEEPS), version_base="1.3"):
        cfg = compose(name, [f"hydra.searchpath=[file://{CONF}]"])
    assert len(cfg.table.rows) == len(about(name, MODES[0]).rows) and cfg.study == name
    assert (SWEEPS / f"{name}.yaml").read_text().startswith("# ")


@cache
def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [NOWHERE, "trainer.channels_last=false", *overrides])


@lru_cache(maxsize=1)
def one_backbone(node: str, size: Size | None, num_keypoints: int, channels: int, multiscale: bool) -> nn.Module:
    """A backbone by its configuration as YAML, once for all heads on it."""
    torch.manual_seed(0)
    cfg = OmegaConf.create({"backbone": OmegaConf.create(node)})
    return make_backbone(cfg, size or Size(64, 64), num_keypoints, channels, multiscale)


def instead(cfg: DictConfig, size: Size, num_keypoints: int, channels: int, multiscale: bool) -> nn.Module:
    """In place of `make_backbone`; few backbones depend on the size, and timm's are only tried at it."""
    target = get_class(cfg.backbone._target_)
    sized = target is not TimmFeatures and "size" in inspect.signature(target).parameters
    node = OmegaConf.to_yaml(cfg.backbone, resolve=True)
    return one_backbone(node, size if sized else None, num_keypoints, channels, multiscale)


def step(module: nn.Module, inputs, codec, size: Size, num_keypoints: int) -> None:
    """Two steps, with a finite loss that gives every parameter a gradient."""
    xy = torch.rand(2, num_keypoints, 2) * torch.tensor([size.width - 1, size.height - 1])
    target, weight = codec.encode(xy, torch.ones(2, num_keypoints))
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-4) if parameters else None
    for _ in range(2 if parameters else 0):
        out = module.train()(inputs)
        loss = sum(codec.loss(o, target, weight) for o in (out if isinstance(out, Stacks) else (out,)))
        assert torch.isfinite(loss)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in parameters) and any(p.grad.any() for p in parameters)
        optimizer.step()


@pytest.mark.parametrize("backbone", sorted(NETS))
def test_networks_learn_and_decode(backbone, monkeypatch):
    monkeypatch.setattr(network, "make_backbone", instead)
    learnt, features = set(), {}
    for overrides in NETS[backbone]:
        cfg = composed(*overrides)
        skeleton = skeleton_of(cfg)
        # Builds it, and tries head, loss and readouts at the row's own size.
        net, codec = build_network(cfg, skeleton)
        if net.backbone.strides and area_of(cfg) > LARGE and not cfg.data.get("pixels"):
            cfg = deepcopy(cfg)
            cfg.input_size = "128x96"
            net, codec = build_network(cfg, skeleton)
        node = OmegaConf.to_yaml(cfg.backbone, resolve=True)
        if (what := f"{node}{OmegaConf.to_yaml(cfg.representation, resolve=True)}{cfg.input_size}") in learnt:
            continue
        learnt.add(what)
        size = Size.parse(cfg.input_size)
        if (node, size) not in features:
            with torch.no_grad():
                features[node, size] = net.backbone.train()(torch.randn(2, net.channels, *size))
        step(net.head, features[node, size], codec, size, skeleton.num_keypoints)
        with torch.no_grad():
            out = net.head.eval()(features[node, size])
            for readout in codec.readouts:
                points = codec.decode(codec.merge(out, out, skeleton.flip_perm()), readout)
                assert points.xy.shape == (2, skeleton.num_keypoints, 2) and points.xy.isfinite().all()
    monkeypatch.undo()
    learn_whole(composed(*NETS[backbone][0]))


def area_of(cfg: DictConfig) -> int:
    size = Size.parse(cfg.input_size)
    return size.height * size.width


def learn_whole(cfg: DictConfig) -> None:
    cfg = deepcopy(cfg)
    size = Size.parse(cfg.input_size)
    if area_of(cfg) > LARGE:
        size, cfg.input_size = Size(64, 64), "64x64"
    skeleton = skeleton_of(cfg)
    net, codec = build_network(cfg, skeleton)
    step(net, torch.randn(2, net.channels, *size), codec, size, skeleton.num_keypoints)


SMOKE = {key: [f"{key}={value}"] for key, value in (("data", "synthetic"), ("trainer", "smoke"), ("seed", "0"))}
STEPPED: set[str] = set()


@pytest.mark.parametrize(("name", "mode"), [key for key in OWNED if cells(*key)])
def test_a_smoke_run_of_every_sweep_takes_steps(name, mode):
    """The first row as it runs on drawn people; once for what composes to the same."""
    cell = cells_of(about(name, mode), SMOKE)[0]
    (cfg,) = compositions(name, [[*cell.overrides, NOWHERE]])
    config = resolved(cfg, "backbone")
    assert cfg.data.name.startswith("synthetic") and cfg.trainer.limit and cfg.study == name
    if (net := json.dumps([config[part] for part in ("backbone", "representation", "input_size")])) not in STEPPED:
        STEPPED.add(net)
        learn_whole(OmegaConf.create(config))


def representatives() -> list[tuple[str, int]]:
    """Of every sweep the first row with a scheme or a kind of network that no sweep before has gone through with."""
    seen, found = set(), []
    for name in NAMES:
        for i, cell in enumerate(cells(name, "published")):
            groups = chosen(name, cell)
            scheme, network = groups.get("representation", "heatmap"), groups.get("backbone", "resnet18_s8")
            kinds = {scheme, network.split("_")[0]}
            if kinds - seen and network not in ("resnet101", "resnet152", "hg8"):
                seen |= kinds
                found.append((name, i))
                break
    return found


@pytest.mark.parametrize(("name", "which"), representatives())
def test_rows_train_and_are_evaluated(name, which, synthetic, tmp_path):
    given = {key: [f"{key}={value}"] for key, value in (("data", "synthetic"), ("trainer", "smoke"), ("size", "64x64"))}
    cell = cells_of(about(name, "published"), {**given, "seed": ["seed=0"]})[which]
    here = [f"data.root={synthetic}", "data.prepare.train=8", "data.prepare.val=6", f"runs={tmp_path}", "boxes=[gt]"]
    (cfg,) = compositions(name, [[*cell.overrides, *here]])
    result = fit(prepare(cfg, "backbone"))
    assert result["status"] == "finished" and result["config"]["study"] == name
    (by_readout,) = result["metrics"].values()
    assert all(0 <= values["AP"] <= 100 for values in by_readout.values())
