"""Whether a change of the code changes a number: keep what the code gives in a folder, and compare two such folders.

    python equality.py inputs INPUTS              # once: tiny data sets, and runs on them
    python equality.py keep A --inputs INPUTS     # what the present code gives
    python equality.py keep B --inputs INPUTS     # what other code gives, which PYTHONPATH or an installation names
    python equality.py compare A B                # every difference; exit status 1 if there is one

The code is reached by its command line, ``python -m poserep``, and by the few names of modules that options give, so
that modules may move. Commands run in folders of their own and name data by relative paths.

Kept are tiny trainings of every data set, representation and family of networks (predictions, samples, curves, results,
hashes of checkpoints' tensors), evaluations and calibration of these and of the inputs' runs, the study without
training, all reports over the inputs' runs, what looks into data, counts of networks, and the composed configuration of
every choice of every group and of every cell of every sweep in both modes. Left out are times, speeds, versions, and
hashes in the names of runs. Numbers are compared bit by bit, texts line by line.
"""

import argparse
import difflib
import hashlib
import json
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from equality_commands import ALONE, RECORDS, draw, run, steps

LEFT_OUT = {"provenance", "seconds", "speed", "speed/img_s", "speed/data_wait"}
VARYING = {
    r"\d+ img/s +\d+% waiting for data": "N img/s",
    r"^[0-9a-f]{8}$": "ID",
    r"(?<=intervals/)[0-9a-f]{16}|-[0-9a-f]{8}(?=-\w+_results)": "-ID",
    r"\b(s\d+|evaluation|centre|corner|edge|dark)-[0-9a-f]{8}\b": r"\1-ID",
}
TEXTS = (".csv", ".html", ".md", ".svg", ".tex")
# The state of a run or of this script, the configuration, which results repeat, and whole networks.
NOT_KEPT = re.compile(r"^data/|/cells/|(^|/)\.|status\.json$|lease|config\.yaml$|\.onnx$")


def keep(kept: Path, commands: Sequence[str], inputs: Path) -> str:
    """Run the commands of a step in a folder of its own, keep what they print and write, and return a line about it."""
    began = time.time_ns()
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        # Sweeps find no data: what is there would be trained on.
        if kept.name != "sweeps":
            (folder / "data").symlink_to(inputs.resolve() / "data")
        if kept.name == "checkpoints":
            shutil.copytree(inputs / "records" / "runs" / "demo", folder / "runs" / "demo")
        if kept.name == "reports":
            shutil.copytree(inputs / "records" / "runs", folder / "runs", ignore=shutil.ignore_patterns("checkpoints"))
        outcomes = run(commands, folder, together=kept.name not in (*ALONE, "quantisation"))
        kept.mkdir(parents=True)
        write(kept / "output.json", plain(outcomes, name))
        new = [(path.stat().st_mtime_ns, path) for path in folder.rglob("*") if path.is_file()]
        taken: Counter[str] = Counter()
        for written, path in sorted(new):
            own = str(path.relative_to(folder))
            if written > began and not NOT_KEPT.search(own):
                # What only a hash tells apart is numbered in the order in which it was written.
                place = kept / plain(own, name)
                taken[str(place)] += 1
                number = f"-{taken[str(place)]}" if taken[str(place)] > 1 else ""
                keep_file(path, place.with_stem(place.stem + number), name)
    failed = sum(one["status"] != 0 for one in outcomes.values())
    return f"{kept.name}: {len(commands)} commands, {failed} refused or failed, {(time.time_ns() - began) / 1e9:.0f} s"


def keep_file(path: Path, place: Path, folder: str) -> None:
    """Keep a file: its values, its text, or else its hash."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        shutil.copy(path, place)
    elif path.suffix in TEXTS:
        place.write_text("\n".join(plain(path.read_text().splitlines(), folder)) + "\n")
    elif path.suffix == ".json":
        write(place, plain(json.loads(path.read_text()), folder))
    elif path.suffix == ".jsonl":
        write(place.with_suffix(".json"), plain([json.loads(line) for line in path.read_text().splitlines()], folder))
    else:
        found = tensors(path) if path.suffix == ".ckpt" else hashlib.sha256(path.read_bytes()).hexdigest()
        write(place.with_name(f"{place.name}.json"), found)


def write(path: Path, data: Any) -> None:
    """Write JSON."""
    path.write_text(json.dumps(data, indent=1) + "\n")


def plain(data: Any, folder: str) -> Any:
    """Return data without what varies from run to run, a folder's name among it."""
    if isinstance(data, dict):
        return {plain(key, folder): plain(value, folder) for key, value in data.items() if key not in LEFT_OUT}
    if isinstance(data, list):
        return [plain(value, folder) for value in data]
    if isinstance(data, str):
        data = data.replace(folder, "FOLDER")
        for pattern, others in VARYING.items():
            data = re.sub(pattern, others, data)
    return data


def tensors(path: Path) -> dict[str, str]:
    """Return the hashes of a checkpoint's tensors, the optimizer's too, by their place."""
    import torch

    saved = torch.load(path, map_location="cpu", weights_only=True)
    found = flat({key: saved[key] for key in ("state_dict", "optimizer_states") if key in saved})
    arrays = {key: value.numpy() for key, value in found.items() if isinstance(value, torch.Tensor)}
    return {key: f"{a.dtype} {a.shape} {hashlib.sha256(a.tobytes()).hexdigest()}" for key, a in arrays.items()}


def flat(data: Any, place: str = "") -> dict[str, Any]:
    """Return the ends of nested mappings and lists, by place."""
    if isinstance(data, dict | list) and data:
        parts = data.items() if isinstance(data, dict) else enumerate(data)
        return {key: end for name, part in parts for key, end in flat(part, f"{place}/{name}").items()}
    return {place: data}


def differences(a: Path, b: Path) -> tuple[int, list[str]]:
    """Count the values of a kept file, and list where it differs from another."""
    if not (a.is_file() and b.is_file()):
        return 1, [f"only in {'A' if a.is_file() else 'B'}"]
    if a.suffix in TEXTS:
        old, new = a.read_text().splitlines(), b.read_text().splitlines()
        return len(old), [line[:300] for line in difflib.unified_diff(old, new, n=0, lineterm="")][2:]
    left, right = (dict(np.load(p)) if p.suffix == ".npz" else flat(json.loads(p.read_text())) for p in (a, b))
    pairs = {
        place: (left.get(place, "nothing"), right.get(place, "nothing")) for place in dict.fromkeys([*left, *right])
    }
    found = [f"{place}: {describe(*pair)}" for place, pair in pairs.items() if bits(pair[0]) != bits(pair[1])]
    return sum(map(np.size, left.values())), found


def bits(value: Any) -> Any:
    """Return what two values share if and only if they are equal to the last bit."""
    return (value.dtype, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else json.dumps(value)


def describe(one: Any, other: Any) -> str:
    """Describe in what two values differ."""
    arrays = [value for value in (one, other) if isinstance(value, np.ndarray)]
    if len(arrays) == 2 and one.shape == other.shape and one.dtype == other.dtype and one.dtype.kind in "iuf":
        apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
        return f"{(one != other).sum()} of {one.size} numbers, by {np.nanmax(apart):.3g} at most"
    return " -> ".join(f"{v.dtype} {v.shape}" if isinstance(v, np.ndarray) else str(v)[:150] for v in (one, other))


def compare(a: Path, b: Path, allowed: Sequence[str]) -> int:
    """Print where two folders differ, and what was compared; 1 if there is a difference that is not allowed."""
    counts: dict[str, Counter[str]] = {}
    matches = dict.fromkeys(allowed, 0)
    for name in sorted({str(path.relative_to(f)) for f in (a, b) for path in f.rglob("*") if path.is_file()}):
        number, found = differences(a / name, b / name)
        kind = counts.setdefault(name.split("/")[0], Counter())
        kind.update(files=1, values=number)
        for line in (f"{name}: {text}" for text in found):
            by = next((pattern for pattern in allowed if re.search(pattern, line)), None)
            kind["differences" if by is None else "allowed"] += 1
            if by is None:
                print(line)
            else:
                matches[by] += 1
    for name, kind in counts.items():
        print(f"{name}: {', '.join(f'{kind[key]} {key}' for key in ('files', 'values', 'differences', 'allowed'))}")
    for pattern, number in matches.items():
        print(f"allowed by {pattern}: {number}")
    return int(not counts or any(kind["differences"] for kind in counts.values()))


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making, keeping, comparing = map(commands.add_parser, ("inputs", "keep", "compare"))
    making.add_argument("folder", type=Path)
    making.add_argument("--writers", default="tests.layouts", help="module that draws tiny data sets")
    keeping.add_argument("folder", type=Path)
    keeping.add_argument("--inputs", type=Path, required=True)
    keeping.add_argument(
        "--quantisation", default="poserep.studies.quantisation_error", help="module of the study without training"
    )
    keeping.add_argument("--step", action="append", help="only such steps")
    comparing.add_argument("a", type=Path)
    comparing.add_argument("b", type=Path)
    comparing.add_argument("--allow", action="append", default=[], metavar="REGEX", help="of lines that may differ")
    given = parser.parse_args()
    if given.command == "compare":
        return compare(given.a, given.b, given.allow)
    if given.command == "inputs":
        draw(given.folder / "data", given.writers)
        (given.folder / "records").mkdir()
        (given.folder / "records" / "data").symlink_to("../data")
        run(RECORDS, given.folder / "records")
    else:
        found = {step: words for step, words in steps(given.quantisation).items() if step in (given.step or [step])}
        with ThreadPoolExecutor(2) as pool:
            for line in pool.map(lambda step: keep(given.folder / step, found[step], given.inputs), found):
                print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
