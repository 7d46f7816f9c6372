"""Command lines that cannot be composed, or make no sense: one line each, which says what to write instead."""

import shlex
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from poserep import cli
from poserep.config import OmegaConf, composing
from poserep.config import compose as compose_run
from poserep.errors import InputError
from poserep.overrides import CONF, ERRORS, SWEEPS, explain, understood
from poserep.runs.create import check, prepare
from reference.vectors import listed


def said(*overrides: str, name: str = "config", folder: Path = CONF) -> str:
    """What is said of overrides that do not compose."""
    with initialize_config_dir(str(folder), version_base="1.3"):
        before = GlobalHydra.instance().hydra
        with pytest.raises(ERRORS) as caught:
            compose(name, [*overrides])
        line = explain(caught.value, overrides)
        # Keys are looked for in a configuration that is composed for it.
        assert GlobalHydra.instance().hydra is before
    assert understood(caught.value) and "\n" not in line
    return line


WRONG, USELESS = listed("wrong_overrides").values()


@pytest.mark.parametrize("override", WRONG)
def test_overrides_that_do_not_compose(override):
    assert said(override).startswith(WRONG[override])


@pytest.mark.parametrize("value", ["/data/a,b", "w/epoch=3-AP=0.7.ckpt", "it's", "a(b", 'a="b"'])
def test_what_to_type_for_a_value_is_shown_and_works(value):
    asked = said(f"data.root={value}").split(": ")[-1]
    (word,) = shlex.split(asked)
    assert compose_run([word]).cfg.data.root == value


def test_entries_of_files_and_checkpoints_of_runs_need_no_quotes():
    words = ["init=runs/a/heatmap-1#best", "backbone.weights=w.pth#ema", "data.root='x#y'", "study=plain"]
    cfg = compose_run(words).cfg
    assert (cfg.init, cfg.backbone.weights, cfg.data.root) == ("runs/a/heatmap-1#best", "w.pth#ema", "x#y")


def test_the_home_is_written_as_in_a_shell(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["data.root=~/coco", "backbone.weights='~/a=b.pth'", "readouts=[~/x,y]"]
    cfg = compose_run(words).cfg
    assert (cfg.data.root, cfg.backbone.weights) == (f"{tmp_path}/coco", f"{tmp_path}/a=b.pth")
    assert cfg.readouts == [f"{tmp_path}/x", "y"]


def test_keys_of_what_was_chosen_and_of_the_table_are_suggested():
    assert said("representation=simcc", "codec.k=2") == "no key codec.k; did you mean representation.codec.k?"
    found = said(f"hydra.searchpath=[file://{CONF}]", "table.mod=published", name="embedded", folder=SWEEPS)
    assert found == "no key table.mod; did you mean table.mode?"
    assert said(name="embeded", folder=SWEEPS) == "no sweep or configuration 'embeded'; did you mean embedded?"
    assert said(name="embedded") == "embedded is a sweep: add --config-dir sweeps"


def test_settings_of_no_use_are_refused_before_anything_is_made(configure, tmp_path):
    cfg = configure()
    for override, line in USELESS.items():
        key, value = override.lstrip("+").split("=")
        changed = OmegaConf.create(OmegaConf.to_container(cfg))
        OmegaConf.update(changed, key, yaml.safe_load(value), force_add=True)
        with pytest.raises(InputError) as caught:
            prepare(changed, "backbone")
        assert str(caught.value).startswith(line)
    assert not (tmp_path / "runs").exists()


def test_settings_of_use_pass(configure):
    words = ("+optim.optimizer.weight_decay=1e-4", "+representation.note=x", "trainer.limit=null", "optim.lr=1")
    for cfg in (configure(*words), configure("data=human4d", "data.root=x", "data.project=published")):
        check(cfg)


def test_traceback_for_those_who_ask(monkeypatch):
    assert explain(ValueError("first\nsecond")) == "first (HYDRA_FULL_ERROR=1 shows where)"
    assert not understood(ValueError("first"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ERRORS):
        cli.main(["train", "trainer.epoch=1"])


def test_configurations_are_composed_within_each_other_and_beside_hydra():
    with composing() as outer:
        first = outer(["seed=1"])
        inner = compose_run(["data=lspet", "representation=simcc"])
        second = outer(["seed=2"])
    assert (first.cfg.seed, second.cfg.seed) == (1, 2) and "hydra" not in first.cfg
    assert inner.choices["data"] == "lspet" and inner.choices["representation"] == "simcc"
    assert not GlobalHydra.instance().is_initialized()
    with pytest.raises(InputError, match="no key or group sead; did you mean seed"):
        compose_run(["sead=1"])
    assert compose_run(["seed=3"], "demo", SWEEPS).cfg.study == "demo"
