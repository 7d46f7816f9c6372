"""Every row of every sweep, in both modes: it composes, its network is built, learns and decodes.

Codecs encode, score and decode what a perfect head would say. Every head takes two steps on the features that its
backbone makes of two images, and decodes, at the row's own size. Whole networks take two steps once for each backbone,
at the row's own size if that is at most 128x96, else at 64x64. About twenty rows, one of every kind, go all the way
through training and evaluation on drawn people at 64x64.
"""

from collections import defaultdict
from copy import deepcopy
from dataclasses import replace
from functools import cache, lru_cache

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from torch import nn

from poserep import nets
from poserep.build import CONF, effective_lr
from poserep.compositions import SWEEPS, cells_of, compositions, names, table
from poserep.fit import fit
from poserep.geometry import Size
from poserep.make import make
from poserep.models import Stacks
from poserep.nets import build_net, make_backbone
from poserep.prepare import prepare, resolved
from poserep.sets import skeleton_of
from poserep.sweepfile import read_sweep
from poserep.tables import MODES, Cell, key_of

# Nothing is read.
NOWHERE = "data.root=nowhere"
GROUPS = ("backbone", "data", "representation", "size")
# What about a codec no head sees.
CODEC = "representation.codec."
UNSEEN = {"bounds", "criterion", "flip_shift", "label", "merge_on", "quantise", "readouts", "score", "score_threshold"}
LARGE = 128 * 96
NAMES = names()


@cache
def cells(name: str, mode: str) -> list[Cell]:
    """One for every distinct set of overrides, seeds aside."""
    return cells_of(table(name, mode), {"seed": ["seed=0"]})


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
    node = OmegaConf.to_yaml(
        OmegaConf.create({"codec": cfg.representation.codec, "of": cfg.data.skeleton}), resolve=True
    )
    skeleton, size = skeleton_of(cfg), Size.parse(cfg.input_size)
    codec = make(cfg.representation.codec, size=size, align=cfg.align)
    assert readouts <= set(codec.readouts)
    if (what := f"{node}{size}{cfg.align}") in TRIED:
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


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_rows_compose(name, mode):
    about = table(name, mode)
    wanted = [[*cell.overrides, NOWHERE] for cell in cells(name, mode)]
    readouts = {row.name: row.readout for row in about.rows}
    for cell, cfg in zip(cells(name, mode), compositions(name, wanted), strict=True):
        # Unknown keys and settings of no use are refused there.
        resolved(cfg, "backbone")
        assert cfg.study == name and about.data in ("", cfg.data.name), cell
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
    assert len(cfg.table.rows) == len(table(name).rows) and cfg.study == name
    assert (SWEEPS / f"{name}.yaml").read_text().startswith("# ")


@cache
def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [NOWHERE, "trainer.channels_last=false", *overrides])


def random_images(cfg: DictConfig, size: Size, n: int) -> torch.Tensor:
    channels = len(cfg.data.pixels.mean) if cfg.data.get("pixels") else 3
    return torch.randn(n, channels, *size)


@lru_cache(maxsize=4)
def backbone_of(node: str, size: Size, num_keypoints: int, channels: int) -> tuple[nn.Module, list[torch.Tensor]]:
    """A backbone by its configuration as YAML, and what it makes of two images; once for all heads on it."""
    torch.manual_seed(0)
    cfg = OmegaConf.create({"backbone": OmegaConf.create(node), "input_size": str(size)})
    backbone = make_backbone(cfg, size, num_keypoints, channels)
    with torch.no_grad():
        features = backbone.train()(torch.randn(2, channels, *size))
    return backbone, [f.detach() for f in features]


def step(module: nn.Module, inputs, codec, cfg: DictConfig, size: Size, num_keypoints: int) -> None:
    """Two steps of the row's own optimiser; with a finite loss, which gives every parameter a gradient."""
    xy = torch.rand(2, num_keypoints, 2) * torch.tensor([size.width - 1, size.height - 1])
    target, weight = codec.encode(xy, torch.ones(2, num_keypoints))
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = make(cfg.optim.optimizer, lr=1e-4)(parameters) if parameters else None
    before = [p.detach().clone() for p in parameters]
    for _ in range(2 if parameters else 0):
        out = module.train()(inputs)
        loss = sum(codec.loss(o, target, weight) for o in (out if isinstance(out, Stacks) else (out,)))
        assert torch.isfinite(loss)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in parameters)
        optimizer.step()
    assert all(p.isfinite().all() for p in parameters)
    assert not parameters or any(not torch.equal(p, b) for p, b in zip(parameters, before, strict=True))


@pytest.mark.parametrize("backbone", sorted(NETS))
def test_networks_learn_and_decode(backbone, monkeypatch):
    def instead(cfg: DictConfig, size: Size, num_keypoints: int, channels: int) -> nn.Module:
        return backbone_of(OmegaConf.to_yaml(cfg.backbone, resolve=True), size, num_keypoints, channels)[0]

    monkeypatch.setattr(nets, "make_backbone", instead)
    for overrides in NETS[backbone]:
        cfg = composed(*overrides)
        skeleton, size = skeleton_of(cfg), Size.parse(cfg.input_size)
        net, codec = build_net(cfg, skeleton)
        node = OmegaConf.to_yaml(cfg.backbone, resolve=True)
        _, features = backbone_of(node, size, skeleton.num_keypoints, net.channels)
        step(net.head, features, codec, cfg, size, skeleton.num_keypoints)
        with torch.no_grad():
            out = net.head.eval()(features)
            for readout in codec.readouts:
                points = codec.decode(codec.merge(out, out, skeleton.flip_perm()), readout)
                assert points.xy.shape == (2, skeleton.num_keypoints, 2) and points.xy.isfinite().all()
    monkeypatch.undo()
    learn_whole(composed(*NETS[backbone][0]))


def learn_whole(cfg: DictConfig) -> None:
    cfg = deepcopy(cfg)
    size = Size.parse(cfg.input_size)
    if size.height * size.width > LARGE:
        size, cfg.input_size = Size(64, 64), "64x64"
    skeleton = skeleton_of(cfg)
    net, codec = build_net(cfg, skeleton)
    step(net, random_images(cfg, size, 2), codec, cfg, size, skeleton.num_keypoints)


def representatives() -> list[tuple[str, int]]:
    """Of every sweep the first row whose scheme and kind of network no sweep before has gone through with."""
    seen, found = set(), []
    for name in NAMES:
        for i, cell in enumerate(cells(name, "published")):
            groups = chosen(name, cell)
            kind = groups.get("representation"), groups.get("backbone", "default").split("_")[0]
            if kind not in seen and not any(large in kind[1] for large in ("resnet101", "resnet152", "hg8")):
                seen.add(kind)
                found.append((name, i))
                break
    return found


@pytest.mark.parametrize(("name", "which"), representatives())
def test_rows_train_and_are_evaluated(name, which, synthetic, tmp_path):
    given = {key: [f"{key}={value}"] for key, value in (("data", "synthetic"), ("trainer", "smoke"), ("size", "64x64"))}
    cell = cells_of(replace(table(name), mode="published"), {**given, "seed": ["seed=0"]})[which]
    here = [f"data.root={synthetic}", "data.prepare.train=8", "data.prepare.val=6", f"runs={tmp_path}", "boxes=[gt]"]
    (cfg,) = compositions(name, [[*cell.overrides, *here]])
    result = fit(prepare(cfg, "backbone"))
    assert result["status"] == "finished" and result["config"]["study"] == name
    (by_readout,) = result["metrics"].values()
    assert all(0 <= values["AP"] <= 100 for values in by_readout.values())
