"""Contested claims as data: who says what, the test that settles each, and the verdict that kept records give.

A claim is a file of claims/. Its tests name rows of studies, each with its baseline; the numbers are those of
``results/STUDY.csv``, the table of the study as it was kept. Nothing is run and nothing is resampled here.
"""

import csv
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from yaml import YAMLError

from poserep.cli import parser_of
from poserep.errors import InputError, first_line
from poserep.files import load_yaml
from poserep.overrides import CONF
from poserep.sheet import Sheet, numbers, texts

CLAIMS, KEPT_RESULTS = CONF.parent / "claims", CONF.parent / "results"
Expected = Literal["above", "below", "equal"]
# Half a 95 % interval of a normal distribution, in standard errors.
HALF = 1.96


@dataclass(frozen=True)
class ClaimTest:
    """What decides a claim on one study, written down before its runs.

    Attributes:
        study: Its records are ``results/STUDY.csv``.
        row: The row whose difference to its baseline is looked at.
        against: That baseline, as the study's table has it.
        expected: What the claim says of the row: ``above`` or ``below`` its baseline by more than the margin, or
            ``equal`` to it but for the margin.
        margin: The smallest difference that matters, in the metric's unit.
        seeds: Number of runs that the row must have.
        than: Another row of the study: looked at is then by how much the row's difference to its baseline exceeds that
            row's to its own.
        mode: The mode of the table, where both have run.
        size: The size of the input, where several have run.
    """

    study: str
    row: str
    against: str
    expected: Expected
    margin: float
    seeds: int = 3
    than: str = ""
    mode: str = "controlled"
    size: str = ""


@dataclass(frozen=True)
class Claim:
    """A claim: its ``name``, a sentence, who says it and with which number, what contradicts it, and its tests."""

    name: str
    claim: str
    by: str
    contrary: str
    tests: tuple[ClaimTest, ...]


@dataclass(frozen=True)
class ClaimFinding:
    """What the records say of a test: the difference with its interval over seeds and images, and a verdict."""

    test: ClaimTest
    verdict: str
    metric: str = ""
    seeds: int = 0
    difference: float | None = None
    low: float | None = None
    high: float | None = None


def read_claims(folder: Path = CLAIMS) -> list[Claim]:
    """Read the claims of a folder, by name; a file that is none is an `InputError` that names it."""
    return [_claim(path) for path in sorted(folder.glob("*.yaml"))]


def _claim(path: Path) -> Claim:
    try:
        node = load_yaml(path.read_text())
    except YAMLError as error:
        raise InputError(f"{path} cannot be read: {first_line(error)}") from error
    tests = node.get("tests") if isinstance(node, dict) else None
    if not isinstance(tests, list) or {*node} != {"claim", "by", "contrary", "tests"}:
        raise InputError(f"{path} must have claim, by, contrary and a list of tests")
    made = tuple(_test(path, test) for test in tests)
    return Claim(path.stem, str(node["claim"]), str(node["by"]), str(node["contrary"]), made)


def _test(path: Path, node: Any) -> ClaimTest:
    known = {field.name for field in fields(ClaimTest)}
    if not isinstance(node, Mapping) or not {"study", "row", "against", "expected", "margin"} <= {*node} <= known:
        raise InputError(
            f"{path}: a test has study, row, against, expected and margin, and may have than, seeds, mode and size"
        )
    test = ClaimTest(**node)
    if test.expected not in get_args(Expected):
        raise InputError(f"{path}: expected={test.expected} must be above, below or equal")
    if type(test.margin) not in (int, float) or not test.margin >= 0:
        raise InputError(f"{path}: margin={test.margin} must be a number from 0 on, in the metric's unit")
    return test


def claim_findings(claim: Claim, results: Path = KEPT_RESULTS) -> list[ClaimFinding]:
    """Return what the records say of each test of a claim."""
    return [_finding(test, results) for test in claim.tests]


def _finding(test: ClaimTest, results: Path) -> ClaimFinding:
    file = results / f"{test.study}.csv"
    lines = list(csv.DictReader(file.open(newline=""))) if file.is_file() else []
    rows = [_row(file, lines, test, name) for name in ([test.row, test.than] if test.than else [test.row])]
    if rows[0] and rows[0]["baseline"] != test.against:
        raise InputError(f"{file}: {test.row!r} is held against {rows[0]['baseline']!r}, not {test.against!r}")
    found = [line for line in rows if line and line["difference"]]
    if len(found) < len(rows):
        return ClaimFinding(test, f"open: not run{_cost(test.study, results)}")
    seeds, metric = min(int(x.get("common_seeds") or x["seeds"]) for x in found), found[0]["baseline_metric"]
    first, *others = (float(line["difference"]) for line in found)
    difference = first - sum(others)
    if seeds < max(test.seeds, 2):
        return ClaimFinding(test, f"open: {seeds} of {test.seeds} seeds have run", metric, seeds, difference)
    low, high = kept_interval(found[0], lines) if len(found) == 1 else _interval(difference, found, lines)
    return ClaimFinding(test, verdict_of(test, difference, low, high), metric, seeds, difference, low, high)


def _row(file: Path, lines: Sequence[Mapping[str, str]], test: ClaimTest, name: str) -> Mapping[str, str] | None:
    """Return the line of a row, one that has run if any has; None if there is none."""
    of_row = [x for x in lines if x["row"] == name and x["mode"] == test.mode and test.size in ("", x["size"])]
    ran = [line for line in of_row if line["difference"]]
    if len(ran) > 1:
        raise InputError(f"{file}: {name!r} has run {len(ran)} times; give the test a size")
    return next(iter([*ran, *of_row]), None)


def kept_interval(line: Mapping[str, str], lines: Sequence[Mapping[str, str]]) -> tuple[float, float]:
    """Return the 95 % interval over seeds and images of a line of a kept table that has a difference, in its unit."""
    if line.get("seeds_low"):
        return float(line["seeds_low"]), float(line["seeds_high"])
    # Kept before tables had it.
    return _interval(float(line["difference"]), [line], lines)


def _interval(
    difference: float, chosen: Sequence[Mapping[str, str]], lines: Sequence[Mapping[str, str]]
) -> tuple[float, float]:
    """Return the interval of a sum of differences, from the scatter of all their rows and the intervals over images."""
    from poserep.metrics.seed_interval import interval_of

    sides, image_variance = [], 0.0
    for line in chosen:
        where = (line["baseline"], line["mode"], line["size"])
        base = next(x for x in lines if (x["row"], x["mode"], x["size"]) == where)
        sides += [(float(side[f"sd_{line['baseline_metric']}"]), int(side["seeds"])) for side in (line, base)]
        image_variance += ((float(line["high"]) - float(line["low"])) / 2 / HALF) ** 2
    # Hundreds of images have as good as infinitely many degrees of freedom beside a few seeds.
    return interval_of(difference, sides, image_variance**0.5, 1000)[:2]


def verdict_of(test: ClaimTest, difference: float, low: float, high: float) -> str:
    """Return ``supported``, ``refuted`` or ``within noise``, from a difference and its interval.

    That a row is above is supported if the interval lies above 0 and the difference is more than the margin, and
    refuted if the interval lies below the margin. That it is equal is supported if the interval lies within the margin
    on both sides, and refuted if it lies beyond it on one.
    """
    margin = test.margin
    if test.expected == "equal":
        outside = low > margin or high < -margin
        return "refuted" if outside else "supported" if -margin < low and high < margin else "within noise"
    if test.expected == "below":
        difference, low, high = -difference, -high, -low
    if low > 0 and difference > margin:
        return "supported"
    return "refuted" if high < margin else "within noise"


def status_of(found: Sequence[ClaimFinding]) -> str:
    """Return the status of a claim: the verdict of its tests, each if they differ; ``open`` are those not run."""
    verdicts = [(finding.verdict.partition(":")[0], finding.test.study) for finding in found]
    if len({verdict for verdict, _ in verdicts}) == 1:
        return verdicts[0][0]
    several = len({study for _, study in verdicts}) > 1
    return "; ".join(f"{verdict} ({study})" if several else verdict for verdict, study in verdicts)


def number_text(finding: ClaimFinding) -> str:
    """Return a finding's difference with its interval, as ``+1.2 [-0.3, +2.7]``."""
    if finding.difference is None:
        return ""
    ends = f" [{finding.low:+.1f}, {finding.high:+.1f}]" if finding.low is not None else ""
    return f"{finding.difference:+.1f}{ends}"


def claims_sheet(found: Mapping[Claim, Sequence[ClaimFinding]], study: str = "") -> Sheet:
    """Return the tests of claims with their findings as a table; of one study only those that have run."""
    rows = [
        [claim.claim if study else claim.name, finding.test.study, number_text(finding), finding.verdict]
        for claim, all_ in found.items()
        for finding in all_
        if not study or (finding.test.study == study and finding.difference is not None)
    ]
    return Sheet("Claims", (*texts("claim", "study"), *numbers("difference"), *texts("verdict")), rows)


def _cost(study: str, results: Path) -> str:
    file = results / "budget.csv"
    lines = list(csv.DictReader(file.open(newline=""))) if file.is_file() else []
    for line in (line for line in lines if line["table"] == study):
        # Of sets whose size is not known here there are no hours.
        hours = line["gpu_hours"] and f", {float(line['gpu_hours']):.2g} hours of a GPU ({line['gpu']})"
        return f", {line['runs']} runs{hours}"
    return ""


def main(arguments: Sequence[str]) -> None:
    """Say which contested claims the kept records support, refute or leave open, and write docs/claims.md.

    example: poserep claims
    """
    parser_of("claims", inspect.getdoc(main)).parse_args(arguments)
    # Help needs no figures.
    from poserep.report.claims_page import write_claims

    write_claims()
