"""Command lines that cannot be composed, or make no sense: one line each, which says what to write instead."""

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


# Overrides that do not compose, and how the line about them begins.
WRONG = {
    "trainer.epoch=1": "no key trainer.epoch; did you mean trainer.epochs?",
    "epochs=3": "no key or group epochs; did you mean trainer.epochs?",
    "batch_size=3": "no key or group batch_size; did you mean trainer.batch or input_size?",
    "backbon.width=3": "no key backbon.width; did you mean backbone.width?",
    "hydra.luncher=x": "no key hydra.luncher; did you mean hydra.launcher?",
    "~trainer.epoch": "no key trainer.epoch; did you mean trainer.epochs?",
    "representation.codec.kk=2": "no key representation.codec.kk; representation.codec has ",
    "logger.project=x": "no key logger.project; logger has no keys",
    "optim.zzz=1": "no key optim.zzz; optim has lr, optimizer, reference_batch, rule, schedule",
    # Of a chosen file.
    "backbone=hrnet_w23": "no backbone 'hrnet_w23'; did you mean hrnet_w32? there are hg4, hg8, ",
    "trainer=smok": "no trainer 'smok'; did you mean smoke? there are cpu, gpu, smoke",
    "size=64": "no size '64'; there are 128x128, ",
    "hydra/launcher=jobli": "no hydra/launcher 'jobli'; did you mean joblib? there are basic, ",
    "backbon=hrnet_w32": "no key or group backbon; did you mean backbone=hrnet_w32?",
    "backbon=mine": "no key or group backbon; did you mean backbone?",
    # Of the grammar.
    "trainer.epochs=[1": "'trainer.epochs=[1' cannot be parsed: ",
    "trainer.epochs": "'trainer.epochs' sets nothing: write trainer.epochs=...",
    "seed=0,1": "seed=0,1 has several values: run all with -m, or write a list as seed=[...]",
    "+trainer.epochs=3": "trainer.epochs exists already: write trainer.epochs=... without the +",
    "seed=abc": "seed=abc: Value 'abc' of type 'str' could not be converted to Integer",
    "readouts=argmax": "readouts=argmax: Invalid value assigned: str is not a ",
}


@pytest.mark.parametrize("override", WRONG)
def test_overrides_that_do_not_compose(override):
    assert said(override).startswith(WRONG[override])


def test_keys_of_what_was_chosen_and_of_the_table_are_suggested():
    assert said("representation=simcc", "codec.k=2") == "no key codec.k; did you mean representation.codec.k?"
    found = said(f"hydra.searchpath=[file://{CONF}]", "table.mod=published", name="embedded", folder=SWEEPS)
    assert found == "no key table.mod; did you mean table.mode?"
    assert said(name="embeded", folder=SWEEPS) == "no sweep or configuration 'embeded'; did you mean embedded?"
    assert said(name="embedded") == "embedded is a sweep: add --config-dir sweeps"


# Overrides that compose and make no sense.
USELESS = {
    "+optim.x=1": "no key optim.x; optim has lr, optimizer, reference_batch, rule, schedule",
    "+trainer.epoch=1": "no key trainer.epoch; did you mean trainer.epochs?",
    "+representation.sigma=2": "no key representation.sigma; did you mean representation.codec.sigma?",
    "trainer.epochs=abc": "trainer.epochs=abc is not a whole number of 1 or more",
    "trainer.limit=0": "trainer.limit=0 is not a whole number of 1 or more, or null",
    "trainer.workers=-1": "trainer.workers=-1 is not a whole number of 0 or more",
    "trainer.drop_last=never": "trainer.drop_last=never is not true or false",
    "align=drak": "align=drak is not one of centre, corner, edge, dark",
    "optim.lr=0": "optim.lr=0 is not a number above 0",
    "optim.lr=fast": "optim.lr=fast is not a number above 0",
}


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
    check(configure("+optim.optimizer.weight_decay=1e-4", "+representation.note=x", "trainer.limit=null", "optim.lr=1"))
    check(configure("data=human4d", "data.root=x", "data.project=published"))


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
