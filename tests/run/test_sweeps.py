"""Every row of every sweep, in both modes: it composes, its network is built, learns and decodes.

Networks are stepped in two parts. Every head takes two steps on the features that its backbone makes of two images,
at the row's own size. Whole networks take two steps at the row's own size if that is at most 128x96, else at 64x64,
once for each backbone. A dozen rows go all the way through training and evaluation, on drawn people.
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
# What networks and codecs follow from.
ABOUT_NETS = (
    "align",
    "backbone",
    "dark_kernel",
    "heatmap_sigma",
    "input_size",
    "representation",
    "simcc_sigma",
    "size",
)
GROUPS = ("backbone", "data", "representation", "size")
LARGE = 128 * 96
NAMES = names()


@cache
def cells(name: str, mode: str) -> list[Cell]:
    """One for every distinct set of overrides, seeds aside."""
    return cells_of(table(name, mode), {"seed": ["seed=0"]})


def chosen(name: str, cell: Cell) -> dict[str, str]:
    """The groups of a cell, those of the sweep where its rows say nothing."""
    defaults = {g: v for g, v in read_sweep(SWEEPS, name)["overridden"].items() if g in GROUPS}
    said = {key_of(o): o.split("=", 1)[1] for o in cell.overrides}
    return {**defaults, **{g: v for g, v in said.items() if g in GROUPS}}


def all_nets() -> dict[str, dict[tuple[str, ...], set[str | None]]]:
    """By backbone, the overrides that make a network and its codec, with the readouts that rows ask of them."""
    found: dict[str, dict[tuple[str, ...], set[str | None]]] = defaultdict(lambda: defaultdict(set))
    for name in NAMES:
        readouts = {row.name: row.readout for row in table(name).rows}
        for mode in MODES:
            for cell in cells(name, mode):
                groups = chosen(name, cell)
                rest = [o for o in cell.overrides if key_of(o).split(".")[0] in ABOUT_NETS and key_of(o) not in GROUPS]
                rest = [o for o in rest if key_of(o) != "backbone.weights"]
                overrides = (*sorted(f"{g}={v}" for g, v in groups.items()), *sorted(rest))
                found[groups.get("backbone", "default")][overrides] |= {readouts[row] for row in cell.rows}
    return found


NETS = all_nets()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_rows_compose(name, mode):
    about = table(name, mode)
    wanted = [[*cell.overrides, NOWHERE] for cell in cells(name, mode)]
    for overrides, cfg in zip(wanted, compositions(name, wanted), strict=True):
        # Unknown keys and settings of no use are refused there.
        resolved(cfg, "backbone")
        assert cfg.study == name and about.data in ("", cfg.data.name), overrides
        optimizer = make(cfg.optim.optimizer, lr=effective_lr(cfg.optim, cfg.trainer.batch))(
            [nn.Parameter(torch.ones(1))]
        )
        schedule = make(cfg.optim.schedule)(optimizer, total_steps=10 * cfg.trainer.epochs, steps_per_epoch=10)
        optimizer.step()
        schedule.step()
        assert 0 < optimizer.param_groups[0]["lr"] <= cfg.optim.lr * 10
        assert all(m < cfg.trainer.epochs for m in cfg.optim.schedule.get("milestones", [])), overrides
        make(cfg.augment)


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
    """A backbone from its configuration in YAML, and what it makes of two images."""
    torch.manual_seed(0)
    cfg = OmegaConf.create({"backbone": OmegaConf.create(node), "input_size": str(size)})
    backbone = make_backbone(cfg, size, num_keypoints, channels)
    with torch.no_grad():
        features = backbone.train()(torch.randn(2, channels, *size))
    # No map is made again by another image, so norms may keep what they saw.
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
def test_networks(backbone, monkeypatch):
    seen, smallest = set(), None
    for overrides, readouts in sorted(NETS[backbone].items(), key=lambda item: area(item[0])):
        cfg = composed(*overrides)
        skeleton, size = skeleton_of(cfg), Size.parse(cfg.input_size)

        def instead(cfg, size, num_keypoints, channels):
            node = OmegaConf.to_yaml(cfg.backbone, resolve=True)
            return backbone_of(node, size, num_keypoints, channels)[0]

        monkeypatch.setattr(nets, "make_backbone", instead)
        net, codec = build_net(cfg, skeleton)
        assert {r for r in readouts if r} <= set(codec.readouts), overrides
        what = OmegaConf.to_yaml(
            OmegaConf.create([cfg.representation, cfg.backbone, str(size), cfg.align]), resolve=False
        )
        if what in seen:
            continue
        seen.add(what)
        node = OmegaConf.to_yaml(cfg.backbone, resolve=True)
        _, features = backbone_of(node, size, skeleton.num_keypoints, net.channels)
        step(net.head, features, codec, cfg, size, skeleton.num_keypoints)
        with torch.no_grad():
            out = net.head.eval()(features)
            for readout in codec.readouts:
                points = codec.decode(codec.merge(out, out, skeleton.flip_perm()), readout)
                assert points.xy.shape == (2, skeleton.num_keypoints, 2) and points.xy.isfinite().all()
        smallest = smallest or cfg
    monkeypatch.undo()
    assert smallest is not None
    learn_whole(smallest)


def area(overrides: tuple[str, ...]) -> int:
    size = next((o.split("=")[1] for o in overrides if o.startswith(("size=", "input_size="))), "64x64")
    height, width = size.split("x")
    return int(height) * int(width)


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
