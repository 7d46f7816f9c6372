"""Runs on a dashboard are their records: one run each, whatever happened to either before."""

import json
import os
import socket
import sys
import time
from unittest.mock import Mock

import pytest
import wandb

from dashboard_server import Server
from poserep import cli
from poserep.config import OmegaConf
from poserep.errors import Failed, InputError
from poserep.runs.plan import Cell, remember
from poserep.runs.rundir import RunDir
from poserep.runs.wandb.entry import compared_settings, read_entry
from poserep.runs.wandb.follow import show_finished
from poserep.runs.wandb.publish import Target, answers, default_mode, ledger_file, publish
from poserep.sweeps.train import run_composed
from poserep.training import loggers
from poserep.training.loggers import Dashboard
from run_records import SIMCC, config, line, until, write

NAME = "simcc-resnet18_s8-synthetic-easy-64x64-s0-0123abcd"
ID = "table-0123abcd"
LINES = [line(0, train__loss=3.0), line(1, train__loss=2.0), line(1, val__AP_gt=40.0)]


@pytest.fixture
def fake(monkeypatch):
    """A module in the place of wandb: runs by id, every call of ``init``, and W&B's rule that steps only rise."""
    module = Mock(runs={}, inits=[], Error=type("Error", (Exception,), {}), Settings=dict)
    module.__spec__ = "installed"
    module.setup().settings.base_url = "http://127.0.0.1:9"

    def init(**given):
        module.inits.append(given)
        kept = module.runs.setdefault(given["id"], {"lines": {}, "said": {}, "exit": None})

        def log(row, step, commit):
            assert commit and (step not in kept["lines"] or given["resume"] is None)
            kept["lines"][step] = row

        run = Mock(starting_step=len(kept["lines"]) if (given["resume"], given["mode"]) == ("allow", "online") else 0)
        run.config.update = run.summary.update = lambda values, **how: kept["said"].update(values)
        run.log, run.finish = log, lambda exit_code: kept.update(exit=exit_code)
        return run

    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr("poserep.runs.wandb.publish.answers", lambda url: True)
    return module


def test_an_entry_says_the_same_of_every_scheme(tmp_path):
    run_dir = write(tmp_path / "table", NAME, config(), LINES)
    remember(tmp_path / "table", NAME, Cell((), ("row a", "row b"), ("data=synthetic",), "controlled"))
    entry = read_entry(RunDir(run_dir))
    assert (entry.id, entry.group, entry.name) == (ID, "table", NAME)
    assert entry.tags == ("simcc", "resnet18_s8", "synthetic-easy", "64x64")
    table = {"modes": ["controlled"], "rows": ["row a", "row b"], "arguments": ["data=synthetic"]}
    assert entry.config["table"] == table
    last = {"step": 3, "train/loss": 2.0, "val/AP_gt": 40.0, "epoch": 1}
    assert entry.history == {0: {"step": 1, "train/loss": 3.0, "epoch": 0}, 1: last}
    measured = {"AP_gt": (50.0, 51.0), "AP_det": (50.0, 51.0), "ece_gt": (0.25, 0.125), "aurc_gt": (0.5, 0.5)}
    due = {"cost/params_M": 1.5, "cost/GMACs": 0.25, "speed/img_s": 100.0, "seconds": 60.0}
    for name, (argmax, dark) in measured.items():
        due |= {f"result/{name}": argmax, f"result/argmax/{name}": argmax, f"result/dark/{name}": dark}
    assert entry.summary == due


def test_what_schemes_are_compared_over():
    for codec, k, sigma, smoothing in (
        (SIMCC, 2, 4.0, "gaussian, sigma 4"),
        ({"k": 1, "label": {"_target_": "poserep.codecs.Equal", "smoothing": 0.1}}, 1, None, "equal, 0.1"),
        ({"k": 1, "label": {"_target_": "poserep.codecs.Equal", "smoothing": 0}}, 1, None, "one-hot"),
        ({"stride": 4, "sigma": 2.0}, 0.25, 2.0, "gaussian map, sigma 2"),
        ({"scale": 1, "base_sigma": 2.0}, 1, 2.0, "gaussian map, sigma 2"),
        ({}, None, None, "none"),
    ):
        found = compared_settings(config(codec=codec, size="256x192"))
        assert (found["k"], found["sigma"], found["smoothing"]) == (k, sigma, smoothing)
        assert (found["height"], found["width"]) == (256, 192)


def test_runs_are_published_once_and_again_when_their_record_has_changed(fake, tmp_path):
    study, online = tmp_path / "table", Target("poserep", "me")
    run_dir = write(study, NAME, config(), LINES)
    write(study, f"{NAME[:-8]}89abcdef", config(), LINES[:1], ap=None)
    assert [publish(study, online) for _ in range(2)] == [[ID], []]
    assert len(fake.inits) == 1 and list(fake.runs) == [ID]
    run = fake.runs[ID]
    due = {"group": "table", "name": NAME, "project": "poserep", "entity": "me", "resume": "allow", "mode": "online"}
    assert due.items() <= fake.inits[0].items()
    assert {step: row.get("train/loss") for step, row in run["lines"].items()} == {0: 3.0, 1: 2.0}
    assert run["exit"] == 0 and run["said"]["result/AP_gt"] == 50.0 and run["said"]["setting"]["k"] == 2
    assert publish(study, online, again=True) == [ID]
    write(study, NAME, config(), LINES, ap=60.0)
    assert publish(study, online) == [ID] and run["said"]["result/AP_gt"] == 60.0
    # Nothing that was sent has changed: the run goes on.
    write(study, NAME, config(), [*LINES, line(2, train__loss=1.0)], ap=60.0)
    assert publish(study, online) == [ID] and sorted(run["lines"]) == [0, 1, 2]
    assert {given["resume"] for given in fake.inits} == {"allow"}
    # The run was trained anew: so is its curve.
    write(study, NAME, config(), [line(0, train__loss=9.0)], ap=60.0)
    assert publish(study, online) == [ID]
    assert fake.inits[-1]["resume"] is None and run["lines"][0]["train/loss"] == 9.0
    assert publish(study, Target("elsewhere", "me")) == [ID]
    assert json.loads(ledger_file(RunDir(run_dir)).read_text())["project"] == "elsewhere"


def test_a_run_of_two_tables_is_shown_in_both(fake, tmp_path):
    run_dir, target = write(tmp_path / "table", NAME, config(), LINES), Target("poserep")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / NAME).symlink_to(run_dir)
    remember(tmp_path / "other", NAME, Cell((), ("its row",)))
    for sent in ([[ID], ["other-0123abcd"]], [[], []]):
        assert [publish(tmp_path / study, target) for study in ("table", "other")] == sent
    shown = fake.runs["other-0123abcd"]["said"]
    assert (shown["study"], shown["table"]["rows"], shown["setting"]["mode"]) == ("other", ["its row"], "published")


def as_an_agent(monkeypatch, run_id):
    """Set what an agent of W&B sets for a run that it starts."""
    for name, value in {"SWEEP_ID": "s1", "RUN_ID": run_id, "PROJECT": "agents", "ENTITY": "team"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)


def test_every_configuration_that_an_agent_starts_is_recorded_under_its_id(fake, trained, monkeypatch, capfd):
    run_dir = RunDir(trained("representation=simcc")[0])
    monkeypatch.setattr("poserep.sweeps.train.create_run", lambda config: run_dir)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    logger = {"_target_": "poserep.training.loggers.wandb_logger", "project": "mine", "entity": None}
    cfg = OmegaConf.create({**run_dir.config(), "table": None, "logger": logger})
    del cfg["names"], cfg["contents"]

    def train():
        capfd.readouterr()
        assert run_composed(cfg, "backbone", False) == run_dir.result()["metrics"]["gt"]["argmax"]["AP"]
        ledger = json.loads(ledger_file(run_dir).read_text())
        return capfd.readouterr().out, ledger["project"], ledger["entity"], ledger["id"]

    own = f"trained-{run_dir.name[-8:]}"
    # Another agent has drawn it, and takes a while.
    held = [{"host": "another", "pid": 1}]
    monkeypatch.setattr("poserep.sweeps.train.holder", lambda path: held.pop() if held else None)
    monkeypatch.setattr("poserep.sweeps.train._POLL", 0)
    for run_id in ("abc", "def"):
        as_an_agent(monkeypatch, run_id)
        out, *ledger = train()
        assert not held and "finished before" in out and f"W&B: sent to project agents as {run_id}\n" in out
        assert ledger == ["agents", "team", run_id] and fake.inits[-1]["project"] == "agents"
        shown = fake.runs[run_id]
        assert shown["exit"] == 0 and "result/AP_gt" in shown["said"] and "train/loss" in shown["lines"][0]
    cfg.logger = None
    with pytest.raises(InputError, match="write logger=wandb and leave out -m"):
        run_composed(cfg, "backbone", False)
    cfg.logger = logger
    monkeypatch.delenv("WANDB_SWEEP_ID")
    assert "sent to project mine as" in train()[0] and "sent to project mine before" in train()[0]
    assert list(fake.runs) == ["abc", "def", own], "once, whatever the environment names beside"
    monkeypatch.setattr("poserep.runs.wandb.publish.answers", lambda url: False)
    ledger_file(run_dir).write_text("{}")
    run_composed(cfg, "backbone", False)
    line = f"does not answer. poserep wandb push trained {run_dir.path.parent.parent} --project mine shows the run"
    assert line in capfd.readouterr().err


def test_refusals(fake, tmp_path, monkeypatch):
    write(tmp_path / "table", NAME, config(), LINES)

    def refused(match, study="table", mode="online"):
        with pytest.raises(InputError, match=match):
            publish(tmp_path / study, Target("poserep", mode=mode))

    refused("no finished run", study="none", mode="offline")
    refused("WANDB_MODE=disabled shows nothing", mode="disabled")
    with monkeypatch.context() as patch:
        patch.setattr("poserep.runs.wandb.publish.answers", lambda url: False)
        refused(r"127\.0\.0\.1:9 does not answer.*--offline")
    fake.init = Mock(side_effect=fake.Error("permission denied\nand a long story"))
    with pytest.raises(Failed, match=f"{ID}: permission denied; 0 runs are there"):
        publish(tmp_path / "table", Target("poserep"))
    assert not ledger_file(RunDir(tmp_path / "table" / NAME)).exists()


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("WANDB_PROJECT", "my/proj", "WANDB_PROJECT=my/proj: W&B takes no / in names"),
        ("WANDB_ENTITY", "50%", "WANDB_ENTITY=50%: W&B takes no % in names"),
        ("", "", "logger=wandb needs a package: pip install -c constraints.txt wandb"),
    ],
)
def test_what_cannot_be_shown_is_refused_before_training(tmp_path, monkeypatch, capfd, variable, value, line):
    if variable:
        monkeypatch.setenv(variable, value)
    else:
        monkeypatch.setitem(sys.modules, "wandb", None)
    assert cli.main(["train", "logger=wandb", f"runs={tmp_path}/runs"]) == 2
    assert line in capfd.readouterr().err and not (tmp_path / "runs").exists()


def test_the_mode_follows_key_and_environment(monkeypatch, tmp_path):
    for key in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_mode() == "offline"
    ours = "https://ours.example:8080"
    cases = ("api.wandb.ai", "", "online"), ("ours.example", "", "offline"), ("ours.example", ours, "online")
    for machine, url, mode in cases:
        (tmp_path / ".netrc").write_text(f"machine {machine} login user password secret\n")
        (tmp_path / ".netrc").chmod(0o600)
        monkeypatch.setenv("WANDB_BASE_URL", url)
        assert default_mode() == mode
    for asked, mode in (("dryrun", "offline"), ("disabled", "disabled")):
        monkeypatch.setenv("WANDB_MODE", asked)
        assert default_mode() == mode


def test_a_dead_server_is_known_at_once():
    assert not answers("http://127.0.0.1:9") and not answers("nonsense")
    assert answers(Server().url)


@pytest.fixture
def key(monkeypatch, tmp_path):
    """A key of W&B's, and no other settings of the user's."""
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_MODE", raising=False)


@pytest.fixture
def server(monkeypatch, key):
    """A server that W&B's own client talks to."""
    found = Server()
    monkeypatch.setenv("WANDB_BASE_URL", found.url)
    # Its client sends every 15 s.
    monkeypatch.setenv("WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL", "1")
    yield found
    # Its settings, which hold the address, are those of the process.
    wandb.teardown()
    found.shutdown()


@pytest.fixture
def push(tmp_path, capfd):
    """Push the table of a test's folder: what the command prints."""

    def command(*options):
        capfd.readouterr()
        assert cli.main(["wandb", "push", "table", str(tmp_path), *options]) == 0
        return capfd.readouterr().out

    return command


@pytest.mark.slow
def test_the_command_with_wandbs_own_client(server, push, tmp_path):
    study = tmp_path / "table"
    run_dir = write(study, NAME, config(), LINES)
    assert f"sent: {ID}" in push()
    run = server.runs[ID]
    assert server.steps(ID, "train/loss") == [(0, 3), (1, 2)] and run["exit"] == 0
    assert run["groupName"] == "table" and run["displayName"] == NAME
    assert run["summary"]["result/AP_gt"] == 50 and json.loads(run["config"])["setting"]["value"]["k"] == 2
    # Without a ledger, as in a copy of the study, the server knows what it has.
    ledger_file(RunDir(run_dir)).unlink()
    write(study, NAME, config(), [*LINES, line(2, train__loss=1.0)], ap=70.0)
    push()
    assert server.steps(ID, "train/loss") == [(0, 3), (1, 2), (2, 1)] and list(server.runs) == [ID]
    assert run["summary"]["result/AP_gt"] == 70
    assert "wandb sync" in push("--offline")
    push("--offline", "--again")
    assert len(list(run_dir.glob(f"wandb/offline-run-*-{ID}/*.wandb"))) == 1


@pytest.mark.slow
def test_an_agents_run_with_wandbs_own_client(server, tmp_path, monkeypatch, capfd):
    as_an_agent(monkeypatch, "abc")
    chosen = tmp_path / "chosen.yaml"
    chosen.write_text("wandb_version: 1\nrepresentation: {value: simcc}\n")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(chosen))
    run_dir = RunDir(write(tmp_path / "table", NAME, config(), LINES))
    show_finished(run_dir, "poserep", None)
    run = server.runs["abc"]
    assert [run[key] for key in ("project", "sweep", "exit")] == ["agents", "s1", 0]
    assert server.steps("abc", "train/loss") == [(0, 3), (1, 2)] and list(server.runs) == ["abc"]
    assert json.loads(run["config"])["setting"]["value"]["k"] == 2
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_segments_of_a_run_that_is_followed_are_one_curve(server, tmp_path):
    study = tmp_path / "table"
    run_dir = write(study, NAME, config(), LINES[:2], ap=None)
    killed = Dashboard(run_dir, "poserep")
    until(lambda: server.runs.get(ID, {}).get("history"))
    # Of the last epoch more may come, so it is not sent.
    killed.finish()
    assert server.steps(ID, "train/loss") == [(0, 3)] and server.runs[ID]["exit"] == 1
    write(study, NAME, config(), LINES, ap=50.0)
    Dashboard(run_dir, "poserep").finish()
    assert server.steps(ID, "train/loss") == [(0, 3), (1, 2)] and server.steps(ID, "val/AP_gt") == [(1, 40)]
    assert server.runs[ID]["exit"] == 0 and list(server.runs) == [ID]
    assert publish(study, Target("poserep")) == [], "nothing is left to send"


@pytest.mark.long
def test_a_server_that_falls_silent_costs_seconds(server, push, tmp_path, capfd):
    run_dir = write(tmp_path / "table", NAME, config(), LINES, ap=None)
    dashboard = Dashboard(run_dir, "poserep")
    until(lambda: server.runs.get(ID, {}).get("history"))
    server.awake.clear()
    write(tmp_path / "table", NAME, config(), LINES)
    began = time.monotonic()
    dashboard.finish()
    assert time.monotonic() - began < loggers.PATIENCE["online"] + 3
    server.awake.set()
    assert f"poserep wandb push table {tmp_path} shows the run" in capfd.readouterr().err
    assert not json.loads(ledger_file(RunDir(run_dir)).read_text())["record"]
    assert f"sent: {ID}" in push()
    assert server.steps(ID, "train/loss") == [(0, 3), (1, 2)]


@pytest.mark.slow
def test_a_dead_network_neither_stops_nor_slows_a_run(run, trained, monkeypatch, key, capfd):
    _, expected = trained("representation=simcc")
    # A server that takes connections and never answers: they wait in its queue.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setenv("WANDB_BASE_URL", url)
        before, began = dict(os.environ), time.monotonic()
        run_dir, result = run("representation=simcc", "study=silent", "logger=wandb")
        took = time.monotonic() - began
    # A process is started beside the run, on a machine that may be busy.
    assert took < 1.5 * result["seconds"]["all"] + 15
    assert result["metrics"] == expected["metrics"] and RunDir(run_dir).status()["state"] == "finished"
    assert not ledger_file(RunDir(run_dir)).exists()
    # Other runs of this process are shown, if they can be.
    assert {k for k in os.environ if "WANDB" in k} == {k for k in before if "WANDB" in k}
    (note,) = (line for line in capfd.readouterr().err.splitlines() if "W&B" in line)
    assert "poserep wandb push silent" in note and url in note
