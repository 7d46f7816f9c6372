"""What a dashboard shows of a run, read from the run's own record; the same keys for every scheme."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from poserep.errors import InputError
from poserep.runs.plan import planned
from poserep.runs.rundir import RunDir
from poserep.runs.values import calibration, undefined


@dataclass(frozen=True)
class Entry:
    """A run as a dashboard shows it.

    Attributes:
        id: The same whenever and wherever the run is shown.
        name: Of the run directory.
        group: The study.
        tags: Representation, backbone, data, input size.
        config: As the run was made, and, under ``setting`` and ``table``, what charts sort runs by.
        history: Metrics by epoch, from the first; of a resumed run's repeated epochs the later ones.
        summary: What it came to; empty until it has finished.
    """

    id: str
    name: str
    group: str
    tags: tuple[str, ...]
    config: Mapping[str, Any]
    history: Mapping[int, Mapping[str, Any]]
    summary: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Twelve hex digits of all that is shown."""
        return digest(asdict(self))


def digest(shown: Any) -> str:
    """Twelve hex digits of what JSON can hold."""
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:12]


def read_entry(run_dir: Path) -> Entry:
    """The entry of a run directory, whatever state the run is in.

    Raises:
        InputError: If it is no run directory.
    """
    path = run_dir / "config.yaml"
    if not path.is_file():
        raise InputError(f"{run_dir} is no run directory: it has no config.yaml")
    config = yaml.safe_load(path.read_text())
    result = RunDir(run_dir).result() if RunDir(run_dir).finished else None
    table = place(run_dir)
    # A run that was made for another table is a run of this one too.
    study, backbone = run_dir.absolute().parent.name, config["names"]["backbone"]
    return Entry(
        id=f"{study}-{run_dir.name[-8:]}",
        name=run_dir.name,
        group=study,
        tags=(config["representation"]["name"], backbone, config["data"]["name"], config["input_size"]),
        config={**config, "study": study, "setting": setting(config, table["modes"]), "table": table},
        history={row["epoch"]: dict(sorted(row.items())) for row in RunDir(run_dir).curve()},
        summary=summary(result) if result else {},
    )


def setting(config: Mapping[str, Any], modes: Sequence[str] = ()) -> dict[str, Any]:
    """What schemes are compared over, by the same name for all; None where a scheme has no such thing.

    ``k`` is bins per input px: SimCC's k, the scale of a super-resolution head, one over a heatmap's stride. ``sigma``
    is in bins, ``epsilon`` is the mass that equal smoothing spreads. ``kind`` is the same for runs that are seeds of
    each other, or nearly: means are taken over those.

    Args:
        config: Of the run.
        modes: Those of the table in which it stands.
    """
    scheme, codec = config["representation"], config["representation"]["codec"]
    height, width = (int(n) for n in config["input_size"].split("x"))
    label = codec.get("label") or {}
    k = codec.get("k", codec.get("scale", 1 / codec["stride"] if "stride" in codec else None))
    sigma = label.get("sigma", codec.get("sigma", codec.get("base_sigma")))
    epsilon = label.get("smoothing")
    smoothing = _smoothing(label, sigma, epsilon)
    mode, backbone = " and ".join(modes), config["names"]["backbone"]
    about = [scheme["title"], f"k = {k:g}" if k else "", smoothing, backbone, config["data"]["name"]]
    return {
        "kind": ", ".join(filter(None, [*about, config["input_size"], mode])),
        "mode": mode,
        "scheme": scheme["title"],
        "height": height,
        "width": width,
        "k": k,
        "smoothing": smoothing,
        "sigma": sigma,
        "epsilon": epsilon,
        "backbone": backbone,
        "data": config["data"]["name"],
        "real": config["data"]["real"],
    }


def _smoothing(label: Mapping[str, Any], sigma: float | None, epsilon: float | None) -> str:
    if epsilon is not None:
        return f"equal, {epsilon:g}" if epsilon else "one-hot"
    kind = label["_target_"].split(".")[-1].lower() if label else "gaussian map"
    return "none" if sigma is None else f"{kind}, sigma {sigma:g}"


def place(run_dir: Path) -> dict[str, Any]:
    """Modes, rows and changed settings that a run stands for in its table; empty if no table has asked for it."""
    uses = [use for plan in planned(run_dir.parent) if plan.name == run_dir.name for use in plan.uses]
    return {
        "modes": sorted({use.mode for use in uses}),
        "rows": list(dict.fromkeys(row for use in uses for row in use.rows)),
        "arguments": sorted({argument for use in uses for argument in use.arguments}),
    }


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Flat numbers of a result: ``result/AP_gt`` is of the default readout, ``result/dark/AP_gt`` of that one.

    What could not be measured is left out.

    Raises:
        InputError: If it is no result of a run.
    """
    if "metrics" not in result:
        raise InputError(f"the result is no training run's: it has {', '.join(result)}, but no metrics")
    found: dict[str, Any] = {}
    for boxes, by_readout in result["metrics"].items():
        for i, (readout, values) in enumerate(by_readout.items()):
            scores = calibration(result).get(readout, {}) if boxes == "gt" else {}
            measured = {**values, **{name: scores.get(name) for name in ("ece", "aurc")}}
            for name, value in measured.items():
                found |= {f"result/{key}{name}_{boxes}": value for key in (f"{readout}/", *([""] if not i else []))}
    about = result["cost"]
    found |= {"cost/params_M": about["params"] / 1e6, "cost/GMACs": about["gmacs"]}
    found |= {"speed/img_s": result.get("speed", {}).get("img_s"), "seconds": result.get("seconds", {}).get("all")}
    return {key: value for key, value in found.items() if not undefined(value)}
