"""The runs that a table has asked for: how each stands, and in what it deviates from its row."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from poserep.errors import InputError
from poserep.overrides import key_of
from poserep.runs.identity import ELSEWHERE, beneath
from poserep.runs.plan import Cell, Planned, shorten
from poserep.runs.rundir import RunDir
from poserep.sweeps.table import Table

# Where weights lie changes no run, but whether there are any does.
CHANGING = ("init", "backbone.weights", "trainer.pretrained")


class AskedRun(NamedTuple):
    """A run that a table has asked for; its configuration is empty until it has begun."""

    plan: Planned
    use: Cell
    path: Path
    config: Mapping[str, Any]
    result: Mapping[str, Any] | None
    status: Mapping[str, Any]

    @property
    def data(self) -> str:
        """Name of its data set; empty if neither its configuration nor the command line tells."""
        return str(self.config["data"]["name"]) if self.config else last_value(self.use.arguments, "data")

    @property
    def limit(self) -> int | None:
        """Number of persons to which it is limited, if it is."""
        return self.config["trainer"].get("limit") if self.config else None


def read_asked_run(study: Path, plan: Planned, use: Cell) -> AskedRun:
    """Read status, configuration and result of a run that was asked for."""
    run_dir = RunDir(study / plan.name)
    try:
        result = run_dir.result() if run_dir.finished else None
        config = result["config"] if result else run_dir.config() if run_dir.config_file.is_file() else {}
        status = run_dir.observed_status()
    except InputError as error:
        result, config, status = None, {}, {"state": "failed", "error": str(error)}
    return AskedRun(plan, use, run_dir.path, config, result, status)


def changing_arguments(use: Cell) -> tuple[str, ...]:
    """Return the arguments of the command line that change what a run is."""
    return tuple(o for o in use.arguments if key_of(o) in CHANGING or not beneath(key_of(o), ELSEWHERE))


def last_value(overrides: Sequence[str], *keys: str) -> str:
    """Return what the last override of any of the keys sets it to, or an empty text."""
    return next((o.split("=", 1)[1] for o in reversed(overrides) if key_of(o) in keys and "=" in o), "")


def deviations(table: Table, run: AskedRun) -> Iterator[str]:
    """Yield how a run deviates from its row, each deviation in a few words."""
    arguments = changing_arguments(run.use)
    other = bool(table.data) and run.data not in ("", table.data)
    if other:
        yield f"{run.data}, not {table.data}"
    lists = (argument.partition("=") for argument in table.arguments)
    usual = {f"{key}={value}" for key, _, values in lists for value in values.split(",")}
    yield from (o for o in arguments if o not in usual and not (other and key_of(o) == "data"))
    if run.limit is not None and not {key_of(o) for o in arguments} & {"trainer", "trainer.limit"}:
        yield f"{run.limit} persons at most"
    named = last_value(run.plan.overrides, "backbone.weights") not in ("", "null")
    if named and run.config and run.config["backbone"].get("weights") is None:
        yield "random initial weights"


def joint_status(runs: Sequence[AskedRun]) -> str:
    """Return how several seeds stand together, in a few words and with the causes of failures."""
    states = [run.status["state"] for run in runs]
    finished = states.count("finished")
    if finished == len(states):
        return "done"
    errors = (str(run.status.get("error", "")) for run in runs if run.status["state"] == "failed")
    causes = [f"failed: {shorten(error)}" for error in dict.fromkeys(errors)]
    state = next((s for s in ("running", "stopped", "waiting") if s in states), "")
    if finished:
        state = f"{finished} of {len(states)} seeds"
    elif causes and state != "running":
        state = ""
    return "; ".join(filter(None, (state, *causes)))
