"""The page of the claims, docs/claims.md, with a picture of each difference; and the command that writes it."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from poserep.drawing import PALETTE, STYLE
from poserep.files import replacing, write_text
from poserep.overrides import CONF
from poserep.report.claims import (
    CLAIMS,
    KEPT_RESULTS,
    Claim,
    ClaimFinding,
    claim_findings,
    claims_sheet,
    number_text,
    read_claims,
    status_of,
)

DOCS = CONF.parent / "docs"
COLOURS = {"supported": PALETTE[2], "refuted": PALETTE[3], "within noise": "#94a3b8"}
CLAIMS_HEAD = """# Claims

What the field contests about coordinate representations, and what kept records say of it. Written by `poserep claims`
from [claims/](../claims) and [results/](../results). A claim's test, its margin and its number of seeds are written
down before its runs, but for those on `embedded` and `bottom-up`, and those on `learning-curves` that compare two
differences, which were added during its runs and before its table; no verdict is without records.

A difference is that of a row to its baseline, in AP (percent), with the 95 % interval over seeds and images. For
studies that were kept with intervals over images alone it is put together from these and the rows' standard deviations,
and so is the interval of what one difference exceeds another by. There is no correction for the number of tests. A
verdict is about the data of its study, and need not hold on others. Grey bands show the margin.

- That a row is above its baseline is *supported* if the interval lies above 0 and the difference is more than the
  margin. It is *refuted* if the interval lies below the margin, so that a gain that matters is ruled out, and *within
  noise* otherwise.
- That a row is below its baseline is *supported* if the interval lies below 0 and the difference beyond minus the
  margin, *refuted* if the interval lies above minus the margin, and *within noise* otherwise.
- That a row equals its baseline is *supported* if the interval lies within the margin on both sides. It is *refuted* if
  the interval lies beyond the margin on one side, and *within noise* otherwise.
"""


def claim_figure(finding: ClaimFinding) -> Figure:
    """Draw the difference of a finding that has one, with its interval, 0 and the margin."""
    assert finding.difference is not None and finding.low is not None and finding.high is not None
    figure = Figure(figsize=(4.2, 0.62))
    axes, margin = figure.subplots(), finding.test.margin
    span = {"above": (0, margin), "below": (-margin, 0), "equal": (-margin, margin)}[finding.test.expected]
    axes.axvspan(*span, color="#e2e8f0", linewidth=0)
    axes.axvline(0, color="#475569", linewidth=1)
    colour = COLOURS[finding.verdict]
    axes.plot([finding.low, finding.high], [0, 0], color=colour, linewidth=3, solid_capstyle="butt")
    axes.plot([finding.difference], [0], "o", color=colour, markersize=6)
    axes.set(yticks=[], ylim=(-1, 1))
    axes.margins(x=0.12)
    axes.grid(visible=False)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    figure.tight_layout(pad=0.3)
    return figure


def evaluated_on(file: Path) -> str:
    """Return the data that the rows of a kept table were evaluated on, with the number of boxes."""
    with file.open(newline="") as lines:
        found = [line["protocol"].partition(" (")[0] for line in csv.DictReader(lines) if line["protocol"]]
    return " and ".join(dict.fromkeys(found))


def claims_page(found: Mapping[Claim, Sequence[ClaimFinding]], results: Path = KEPT_RESULTS) -> str:
    """Return the page of claims with their findings."""
    lines = [CLAIMS_HEAD, "| study | evaluated on | rows of |", "| --- | --- | --- |"]
    tests = [finding.test for all_ in found.values() for finding in all_ if finding.difference is not None]
    for study, mode in dict.fromkeys((test.study, test.mode) for test in tests):
        lines.append(f"| [{study}](../results/{study}.csv) | {evaluated_on(results / f'{study}.csv')} | {mode} mode |")
    lines += ["", "| claim | status |", "| --- | --- |"]
    lines += [f"| [{claim.claim}](#{claim.name}) | {status_of(all_)} |" for claim, all_ in found.items()]
    for claim, all_ in found.items():
        lines += ["", f"## {claim.name}", "", f"**{claim.claim}**", "", f"Says: {claim.by}.", ""]
        lines += [f"Against it: {claim.contrary}.", ""] if claim.contrary else []
        lines += ["| study | row - baseline | difference | verdict | |", "| --- | --- | ---: | --- | --- |"]
        for number, finding in enumerate(all_):
            test = finding.test
            file = f"[{test.study}](../results/{test.study}.csv)" if finding.difference is not None else test.study
            picture = f"![{number_text(finding)}](claims/{claim.name}-{number}.svg)" if finding.low is not None else ""
            rows = f"{test.row} - {test.against}" + (f", more than that of {test.than}" if test.than else "")
            rows += f", {test.size}" if test.size else ""
            expected = f"{finding.verdict}; expected {test.expected}, margin {test.margin:g}, {test.seeds} seeds"
            lines.append(f"| {file} | {rows} | {number_text(finding)} | {expected} | {picture} |")
    return "\n".join(lines) + "\n"


def write_claims(docs: Path = DOCS, folder: Path = CLAIMS, results: Path = KEPT_RESULTS) -> Path:
    """Print the claims, write the page and its pictures, and return the page."""
    claims = read_claims(folder)
    found = {claim: claim_findings(claim, results) for claim in claims}
    claims_sheet(found).show()
    pictures = docs / "claims"
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    for claim, all_ in found.items():
        for number, finding in enumerate(all_):
            if finding.low is not None:
                with (
                    rc_context({**STYLE, "svg.hashsalt": claim.name}),
                    replacing(pictures / f"{claim.name}-{number}.svg") as partial,
                ):
                    claim_figure(finding).savefig(partial, format="svg", metadata={"Date": None, "Creator": None})
    write_text(docs / "claims.md", claims_page(found, results))
    print(f"page: {docs / 'claims.md'}")
    return docs / "claims.md"
