"""What W&B shows of a run, read from the run's own record; the same keys for every scheme."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poserep.instances import ANNOTATED
from poserep.runs.plan import planned
from poserep.runs.result_values import calibration_by_readout, is_undefined
from poserep.runs.rundir import RunDir


@dataclass(frozen=True)
class WandbEntry:
    """A run as W&B shows it, under the same ``id`` whenever and wherever.

    Beside the run's configuration, ``config`` has what charts sort runs by: under ``setting`` what schemes are compared
    over, under ``table`` the modes, rows and changed settings that the run stands for. ``history`` is by epoch, in
    order; ``summary`` has the numbers of the result, none until the run has finished.
    """

    id: str
    name: str
    group: str
    tags: tuple[str, ...]
    config: Mapping[str, Any]
    history: Mapping[int, Mapping[str, Any]]
    summary: Mapping[str, Any]


def digest(shown: Any) -> str:
    """Return twelve hex digits of the hash of what JSON can hold."""
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:12]


def read_entry(run_dir: RunDir) -> WandbEntry:
    """Read the entry of a run, whatever its state; a missing configuration or a damaged file is an `InputError`."""
    config = run_dir.config()
    uses = [use for plan in planned(run_dir.path.parent) if plan.name == run_dir.name for use in plan.uses]
    table = {
        "modes": sorted({use.mode for use in uses}),
        "rows": list(dict.fromkeys(row for use in uses for row in use.rows)),
        "arguments": sorted({argument for use in uses for argument in use.arguments}),
    }
    # A run that was made for another table is a run of this one too.
    study, backbone = run_dir.path.absolute().parent.name, config["names"]["backbone"]
    return WandbEntry(
        id=f"{study}-{run_dir.name[-8:]}",
        name=run_dir.name,
        group=study,
        tags=(config["representation"]["name"], backbone, config["data"]["name"], config["input_size"]),
        config={**config, "study": study, "setting": compared_settings(config, table["modes"]), "table": table},
        history=read_history(run_dir),
        summary=result_summary(run_dir.result()) if run_dir.finished else {},
    )


def read_history(run_dir: RunDir) -> dict[int, dict[str, Any]]:
    """Read a run's metrics by epoch."""
    return {row["epoch"]: dict(sorted(row.items())) for row in run_dir.curve()}


def compared_settings(config: Mapping[str, Any], modes: Sequence[str] = ()) -> dict[str, Any]:
    """Return what schemes are compared over, by the same names for all; None where a scheme has no such thing.

    ``k`` is bins per input px: SimCC's k, the scale of a super-resolution head, one over a heatmap's stride. ``sigma``
    is in bins, ``epsilon`` is the mass that equal smoothing spreads. ``kind`` is the same for runs over which means
    are taken: those that differ in their seed.
    """
    scheme, codec = config["representation"], config["representation"]["codec"]
    height, width = (int(n) for n in config["input_size"].split("x"))
    label = codec.get("label") or {}
    k = codec.get("k", codec.get("scale", 1 / codec["stride"] if "stride" in codec else None))
    sigma, epsilon = label.get("sigma", codec.get("sigma", codec.get("base_sigma"))), label.get("smoothing")
    shape = label["_target_"].split(".")[-1].lower() if label else "gaussian map"
    smoothing = "none" if sigma is None else f"{shape}, sigma {sigma:g}"
    if epsilon is not None:
        smoothing = f"equal, {epsilon:g}" if epsilon else "one-hot"
    mode, backbone, data = " and ".join(modes), config["names"]["backbone"], config["data"]
    kind = (scheme["title"], f"k = {k:g}" if k else "", smoothing, backbone, data["name"], config["input_size"], mode)
    return {
        "kind": ", ".join(filter(None, kind)),
        "mode": mode,
        "scheme": scheme["title"],
        "height": height,
        "width": width,
        "k": k,
        "smoothing": smoothing,
        "sigma": sigma,
        "epsilon": epsilon,
        "backbone": backbone,
        "data": data["name"],
        "real": data["real"],
    }


def result_summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result's known numbers, flat: ``result/AP_gt`` of the default readout, ``result/dark/AP_gt`` of dark."""
    cost = result["cost"]
    summary: dict[str, Any] = {"cost/params_M": cost["params"] / 1e6, "cost/GMACs": cost["gmacs"]}
    summary |= {"speed/img_s": result.get("speed", {}).get("img_s"), "seconds": result.get("seconds", {}).get("all")}
    for boxes, by_readout in result["metrics"].items():
        for i, (readout, values) in enumerate(by_readout.items()):
            scores = calibration_by_readout(result).get(readout, {}) if boxes in ANNOTATED else {}
            for name, value in {**values, "ece": scores.get("ece"), "aurc": scores.get("aurc")}.items():
                summary |= {f"result/{key}{name}_{boxes}": value for key in (f"{readout}/", *([""] if not i else []))}
    return {key: value for key, value in summary.items() if not is_undefined(value)}
