"""Searches by Optuna's sweeper, an extra: what it is given of each trial, and what ends it; and docs/sweeps.md."""

import itertools
import math
import re
import shlex

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from poserep import cli
from poserep.config import compose
from poserep.errors import Failed
from poserep.metrics import CocoAP
from poserep.overrides import CONF
from poserep.runs.rundir import RunDir
from poserep.sweeps.table import cells_of, read_table
from run_records import result

SEARCH = ["train", "-m", "hydra/sweeper=optuna", "study=search", "hydra.sweeper.sampler.seed=0"]
LR = "optim.lr=interval(1e-4,1e-2)"
OTHERS = (f"~data.metric.{key}" for key in ("area", "max_detections", "matcher"))
EPE = ["data.metric={_target_:poserep.metrics.EPE}", *OTHERS]


def best_near(lr):
    """A metric that is best at a learning rate of 0.003."""
    return 100 - abs(math.log(lr / 0.003))


@pytest.fixture
def search(monkeypatch, tmp_path, capfd):
    """Search with stubs in the place of trainings: exit code, learning rates of those begun, what was printed."""
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="Optuna's sweeper is an extra: .[optuna]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("poserep.sweeps.train._POLL", 0)

    def go(*words, fails=(), stops=(), taken=()):
        begun, held = [], []

        def launch(worker, arguments, *devices, **how):
            run_dir = RunDir(arguments[0])
            begun.append(run_dir.config()["optim"]["lr"])
            number = len(begun)
            if number in taken:
                held.extend(2 * [{"host": "another", "pid": 1}])
                raise Failed("the process ended with exit status 2")
            if number in fails or number in stops:
                ending = {"error": "loss is not finite"} if number in fails else {"why": "SIGTERM"}
                run_dir.write_status("failed" if number in fails else "stopped", **ending)
                raise Failed("the process ended with exit status 1")
            run_dir.write_result(result(run_dir.config(), best_near(begun[-1])))

        monkeypatch.setattr("poserep.sweeps.cell.launch", launch)
        for module in ("cell", "train"):
            monkeypatch.setattr(f"poserep.sweeps.{module}.holder", lambda path: held.pop() if held else None)
        capfd.readouterr()
        code = cli.main([*SEARCH, *words])
        return code, begun, "".join(capfd.readouterr())

    return go


def test_a_search_finds_the_best_and_goes_on_where_it_was(search):
    three = [LR, "hydra.sweeper.n_trials=3"]
    code, begun, _ = search(*three, stops=(2,))
    assert (code, len(begun)) == (75, 2), "a trial that was stopped ends the search"
    code, after, printed = search(*three, fails=(1,))
    assert code == 0 and len(after) == 2 and after[0] == begun[1]
    assert printed.count("finished before") == 1 and printed.count("Error executing job") == 1
    value, rate = max((best_near(lr), lr) for lr in (begun[0], after[1]))
    assert f"best value {value:.4g} with optim.lr={rate} (kept in runs/search/optimization_results.yaml)" in printed


def test_a_trial_that_another_process_has_is_waited_for(search):
    code, begun, printed = search(LR, "hydra.sweeper.n_trials=1", taken=(1,))
    assert (code, len(begun), len(set(begun))) == (0, 2, 1)
    assert "left by process 1 on another" in printed and "best value" in printed


def test_a_search_without_a_value_says_so(search):
    for words, begun in ((["optim.lr=-1,0"], 0), ([LR], 2)):
        code, launched, printed = search(*words, "hydra.sweeper.n_trials=2", fails=(1, 2))
        assert (code, len(launched)) == (1, begun) and "no trial of the search has finished" in printed
    code, launched, printed = search(LR, "hydra.sweeper.max_failure_rate=0", "seed=1", fails=(1,))
    assert (code, len(launched)) == (1, 1) and printed.endswith("error: loss is not finite\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["hydra.sweeper.direction=minimize"], "direction=minimize, but more AP is better: set it to maximize"),
        ([*EPE, "~data.metric.nms_threshold"], "direction=maximize, but less EPE is better: set it to minimize"),
    ],
)
def test_searches_in_the_wrong_direction_are_refused(search, words, line):
    code, begun, printed = search(LR, *words)
    assert (code, begun) == (2, []) and line in printed


def test_the_sweeper_is_an_extra(monkeypatch, capfd):
    monkeypatch.setattr("poserep.sweeps.train.find_spec", lambda name: None)
    assert cli.main([*SEARCH, LR]) == 2
    assert "pip install -c constraints.txt -e '.[optuna]'" in capfd.readouterr().err


PAGE = (CONF.parent / "docs" / "sweeps.md").read_text()
FILES = {
    name: yaml.safe_load(text) for name, text in re.findall(r"<!-- file: (\S+) -->\n\n```yaml\n(.*?)```", PAGE, re.S)
}
COMMANDS = [shlex.split(line) for line in PAGE.replace("\\\n", "").splitlines() if line.startswith("poserep train")]


def test_the_documented_search(search):
    (words,) = COMMANDS
    assert words[:3] == ["poserep", "train", "-m"] and {*SEARCH} - {*words} == {"study=search"}
    code, begun, printed = search(*words[3:], "hydra.sweeper.n_trials=2")
    (line,) = re.findall(r"^best value .*$", PAGE, re.M)
    assert (code, len(begun)) == (0, 2)
    assert re.search(re.escape(line).replace(r"\.\.\.", r"\S+"), printed)


def test_the_documented_table_and_product_are_twelve_runs():
    table = read_table(FILES["lr.yaml"]["table"])
    cells = [set(cell.overrides) for cell in cells_of(table)]
    (product,) = re.findall(r"`poserep train -m (study=lr-product [^`]+)`", PAGE)
    lists = [
        [f"{key}={value}" for value in values.split(",")] for key, values in (w.split("=") for w in product.split())
    ]
    fixed = {"study=lr-product", f"trainer.epochs={FILES['lr.yaml']['trainer']['epochs']}"}
    assert len(cells) == 12 and all(set(words) - fixed in cells for words in itertools.product(*lists))


def test_an_agents_documented_command_composes_to_a_run_that_has_its_metric():
    sweep = FILES["sweep.yaml"]
    for representation in sweep["parameters"]["representation"]["values"]:
        given = {"representation": {"value": representation}, "optim.lr": {"value": 0.00123}}
        assert given.keys() == sweep["parameters"].keys()
        parts = {
            "${program}": [sweep["program"]],
            "${args_no_hyphens}": create_sweep_command_args({"args": given})["args_no_hyphens"],
        }
        program, command, *words = (word for part in sweep["command"] for word in parts.get(part, [part]))
        cfg = compose(words).cfg
        assert (program, command, cfg.representation.name, cfg.optim.lr) == (
            "poserep",
            "train",
            representation,
            0.00123,
        )
        assert cfg.logger.project == "poserep" and sweep["metric"]["name"] == f"val/{CocoAP.columns[0]}_gt"
