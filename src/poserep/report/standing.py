"""How a run stands that a table has asked for, and in what it is not what its row says."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from poserep.overrides import key_of
from poserep.runs.identity import ELSEWHERE, beneath
from poserep.runs.plan import Planned, Use, shorten
from poserep.runs.rundir import RunDir
from poserep.sweeps.table import Table

# Where weights lie changes no run, but whether there are any does.
TELLING = ("backbone.weights", "trainer.pretrained")


class Standing(NamedTuple):
    """A run that a table has asked for.

    Attributes:
        plan: What was asked for.
        use: As which rows.
        path: Of the run.
        config: Its configuration; empty until it has begun.
        result: What it found, if it has finished.
        state: ``state``, and what the run's record adds, as ``error``.
    """

    plan: Planned
    use: Use
    path: Path
    config: Mapping[str, Any]
    result: Mapping[str, Any] | None
    state: Mapping[str, Any]


def stands(study: Path, plan: Planned, use: Use) -> Standing:
    """Read how a run stands, and what it found."""
    run_dir = RunDir(study / plan.name)
    if run_dir.finished:
        result = run_dir.result()
        return Standing(plan, use, run_dir.path, result["config"], result, {"state": "finished"})
    config = run_dir.config() if run_dir.config_file.is_file() else {}
    return Standing(plan, use, run_dir.path, config, None, run_dir.observed_status())


def told(use: Use) -> tuple[str, ...]:
    """The arguments of the command line that change what a run is."""
    return tuple(o for o in use.arguments if key_of(o) in TELLING or not beneath(key_of(o), ELSEWHERE))


def value_of(overrides: Sequence[str], *keys: str) -> str:
    """What the last override of any of the keys sets it to, or nothing."""
    return next((o.split("=", 1)[1] for o in reversed(overrides) if key_of(o) in keys and "=" in o), "")


def foreign(table: Table, run: Standing) -> bool:
    """Whether a run has other data than the published values, or not all of them."""
    return bool(table.data) and (_data(table, run) != table.data or _limit(run) is not None)


def marks(table: Table, run: Standing) -> Iterator[str]:
    """How a run is not what its row says, each in a few words."""
    data = _data(table, run)
    other = bool(table.data) and data != table.data
    if other:
        yield f"{data}, not {table.data}"
    chosen = {choice for argument in table.arguments for choice in _choices(argument)}
    yield from (o for o in told(run.use) if o not in chosen and not (other and key_of(o) == "data"))
    said = {key_of(o) for o in told(run.use)}
    if _limit(run) is not None and not said & {"trainer", "trainer.limit"}:
        yield f"{_limit(run)} persons at most"
    named = value_of(run.plan.overrides, "backbone.weights") not in ("", "null")
    if named and run.config and run.config["backbone"].get("weights") is None:
        yield "random initial weights"


def _data(table: Table, run: Standing) -> str:
    name: str = run.config["data"]["name"] if run.config else value_of(run.use.arguments, "data") or table.data
    return name


def _limit(run: Standing) -> int | None:
    return run.config["trainer"].get("limit") if run.config else None


def _choices(argument: str) -> list[str]:
    key, _, values = argument.partition("=")
    return [f"{key}={value}" for value in values.split(",")]


def status(runs: Sequence[Standing]) -> str:
    """How several seeds stand together, in a few words; causes of failures are not left out."""
    states = [run.state["state"] for run in runs]
    finished = states.count("finished")
    if finished == len(states):
        return "done"
    errors = [str(run.state.get("error", "")) for run in runs if run.state["state"] == "failed"]
    causes = [f"failed: {shorten(error)}" for error in dict.fromkeys(errors)]
    state = next((s for s in ("running", "stopped", "waiting") if s in states), "")
    if finished:
        state = f"{finished} of {len(states)} seeds"
    elif causes and state != "running":
        state = ""
    return "; ".join([*([state] if state else []), *causes])
