"""The worked example of docs/add-a-representation.md, taken from the page: it holds the contract and trains."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import test_contract as contract
import torch

from codec_cases import SIZES, Case, _other
from poserep.geometry import ALIGNMENTS
from poserep.overrides import CONF
from poserep.runs.create import prepare
from poserep.training.fit import fit

PAGE = (CONF.parent / "docs" / "add-a-representation.md").read_text()


def block(heading: str) -> str:
    """The first code block after a heading."""
    found = re.search(rf"### {heading}.*?```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, heading
    return found[1]


@pytest.fixture(scope="module")
def ordinal(tmp_path_factory: pytest.TempPathFactory):
    """The page's module, importable under the name that the page gives it."""
    name = "poserep.codecs.ordinal"
    path: Path = tmp_path_factory.mktemp("page") / "ordinal.py"
    path.write_text(block("The module"))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


def test_the_codec_holds_the_contract(ordinal):
    name, make, k = eval(block("The line").strip().rstrip(","), {"_other": _other, "Ordinal": ordinal.Ordinal})
    for case in (Case(name, make, size, align, k) for size in SIZES[:2] for align in ALIGNMENTS):
        contract.test_round_trip_stays_within_the_bins_and_scores_one.on(case)
        contract.test_a_flip_test_changes_nothing_for_an_equivariant_network.on(case)
        contract.test_joints_outside_or_unlabelled_cannot_change_loss_or_gradient.on(case)
        contract.test_the_oracle_minimises_the_loss_and_gradients_are_finite.on(case)


def test_the_readout_reads():
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], names)
    heatmap = torch.zeros(1, 1, 5, 7)
    heatmap[..., 2, 3:5], heatmap[..., 0, 0] = 1.0, 0.4
    position, peak = names["Plateau"]()(heatmap)
    assert position[0, 0].tolist() == [3.5, 2.0] and peak.item() == 1.0


def test_the_configuration_trains(ordinal, configure, tmp_path):
    folder = tmp_path / "conf" / "representation"
    folder.mkdir(parents=True)
    (folder / "ordinal.yaml").write_text(block("The YAML"))
    cfg = configure(f"hydra.searchpath=[file://{tmp_path}/conf]", "representation=ordinal", "boxes=[gt]")
    result = fit(prepare(cfg, "backbone"))
    assert result["config"]["representation"]["title"] == "Ordinal" and list(result["metrics"]["gt"]) == ["count"]
