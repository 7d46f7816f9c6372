"""Runs on a tiny backbone: a trained one and its file for all tests, and others of random weights."""

import contextlib
import io
import json

import pytest
import torch

from poserep import cli
from poserep.config import compose
from poserep.data.from_config import skeleton_of
from poserep.deploy.export import export
from poserep.runs.create import prepare
from poserep.training.evaluate import configure as configure_run
from poserep.training.fit import fit
from poserep.training.module import PoseModule
from poserep.training.network import build_network
from tiny import TINY
from tiny_backbone import on_tiny_backbone


def tiny_run(cfg):
    return prepare(on_tiny_backbone(cfg), "backbone")


@pytest.fixture(scope="session")
def trained(synthetic, tmp_path_factory):
    """Directory of a run."""
    overrides = [f"data.root={synthetic}", f"runs={tmp_path_factory.mktemp('runs')}", "boxes=[gt]"]
    run = tiny_run(compose([*TINY, *overrides, "representation=heatmap"]).cfg)
    fit(run)
    return run.path


@pytest.fixture(scope="session")
def exported(trained):
    """The run's file under its default name, and what the export printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        path = export(trained, configure_run(trained, []), readout="dark", check=6)
    return path, printed.getvalue()


@pytest.fixture
def untrained(configure):
    """Make the directory of a run that has random weights."""

    def make(*overrides):
        cfg = configure(*overrides)
        run_dir = tiny_run(cfg).path
        skeleton = skeleton_of(cfg)
        torch.manual_seed(0)
        module = PoseModule(*build_network(cfg, skeleton), skeleton.flip_perm(), {}, cfg.readouts)
        (run_dir / "checkpoints").mkdir()
        torch.save({"state_dict": module.state_dict()}, run_dir / "checkpoints" / "last.ckpt")
        return run_dir

    return make


@pytest.fixture(scope="module")
def models(trained, exported):
    """A run directory, and its file."""
    return trained, exported[0]


@pytest.fixture(scope="module")
def images(synthetic):
    return sorted(synthetic.glob("easy-8-6-*/images/val/*.jpg"))


@pytest.fixture
def go(tmp_path, capsys):
    """The command: exit code, records, standard output and error."""

    def call(*words):
        out = tmp_path / "out"
        code = cli.main(["predict", *map(str, words), "--out", str(out)])
        path = out / "keypoints.json"
        said = capsys.readouterr()
        return code, json.loads(path.read_text()) if path.is_file() else None, said.out, said.err

    return call
