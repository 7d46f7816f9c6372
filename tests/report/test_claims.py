"""Claims: verdicts by hand, intervals of older records, what is open, and the kept page, which follows from records."""

import csv
import shutil

import pytest

from poserep.errors import InputError
from poserep.report import claims as claiming
from poserep.report.claims import Claim, ClaimTest, claim_findings, read_claims, status_of, verdict_of
from poserep.report.claims_page import DOCS, write_claims
from poserep.sweeps.sweep_file import table_of


@pytest.mark.parametrize(
    "expected, difference, low, high, verdict",
    [
        ("above", 3, 1, 5, "supported"),
        ("above", 3, -1, 7, "within noise"),
        ("above", 0.8, 0.2, 1.4, "within noise"),  # sure to be above, not by the margin
        ("above", 0.2, -0.5, 0.9, "refuted"),
        ("above", -3, -5, -1, "refuted"),
        ("below", -3, -5, -1, "supported"),
        ("below", 3, 1, 5, "refuted"),
        ("equal", 0.1, -0.9, 0.9, "supported"),
        ("equal", 0.1, -1.1, 1.3, "within noise"),
        ("equal", 3, 1.5, 4.5, "refuted"),
        ("equal", -3, -4.5, -1.5, "refuted"),
    ],
)
def test_verdicts_by_hand(expected, difference, low, high, verdict):
    assert verdict_of(ClaimTest("study", "row", "base", expected, margin=1), difference, low, high) == verdict


def kept(folder, **changes):
    """Write the records of a study of two rows, of three seeds each."""
    base = {"row": "B", "mode": "controlled", "size": "64x64", "seeds": "3", "sd_AP": "0.3"}
    row = {**base, "row": "A", "sd_AP": "0.4", "baseline": "B", "baseline_metric": "AP", "difference": "2"}
    row |= {"low": "1.02", "high": "2.98", "seeds_low": "", "seeds_high": "", **changes}
    with (folder / "study.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row), restval="")
        writer.writeheader()
        writer.writerows([base, row])


def test_findings_are_those_of_the_records(tmp_path):
    test = ClaimTest("study", "A", "B", "above", margin=1)
    claim = Claim("it", "A is above B", "somebody", "", (test,))
    (tmp_path / "budget.csv").write_text("table,runs,gpu_hours,gpu\nstudy,6,0.25,assumed\n")
    (found,) = claim_findings(claim, tmp_path)
    assert found.verdict == "open: not run, 6 runs, 0.25 hours of a GPU (assumed)" and status_of([found]) == "open"
    kept(tmp_path, seeds_low="0.5", seeds_high="3.5")
    (found,) = claim_findings(claim, tmp_path)
    assert (found.difference, found.low, found.high, found.seeds) == (2, 0.5, 3.5, 3)
    assert found.verdict == "supported"
    # An older record: variances 0.16 / 3 and 0.09 / 3 of seeds, 0.5^2 of images.
    kept(tmp_path)
    (found,) = claim_findings(claim, tmp_path)
    error = (0.16 / 3 + 0.09 / 3 + 0.25) ** 0.5
    assert (found.low + found.high) / 2 == pytest.approx(2) and (found.high - 2) / error == pytest.approx(
        2.02, abs=0.04
    )
    kept(tmp_path, common_seeds="1")
    assert claim_findings(claim, tmp_path)[0].verdict == "open: 1 of 3 seeds have run", (
        "of those that the baseline has too"
    )
    kept(tmp_path, baseline="C")
    with pytest.raises(InputError, match="'A' is held against 'C', not 'B'"):
        claim_findings(claim, tmp_path)
    kept(tmp_path, seeds="2")
    assert claim_findings(claim, tmp_path)[0].verdict == "open: 2 of 3 seeds have run"
    differ = [claiming.ClaimFinding(test, verdict) for verdict in ("supported", "refuted", "open: not run")]
    assert status_of(differ) == "supported; refuted; open"
    other = claiming.ClaimFinding(ClaimTest("other", "A", "B", "above", margin=1), "refuted")
    assert status_of([differ[0], other]) == "supported (study); refuted (other)"


def test_a_difference_may_be_held_against_another_one(tmp_path):
    rows = [
        {"row": row, "baseline": base, "difference": gap, "low": low, "high": high, "sd_AP": "0.3"}
        for row, base, gap, low, high in (
            ("A late", "B late", "1", "0.02", "1.98"), ("B late", "", "", "", ""),
            ("A early", "B early", "-5", "-5.98", "-4.02"), ("B early", "", "", "", ""),
        )
    ]  # fmt: skip
    about = {"mode": "controlled", "size": "64x64", "seeds": "3", "baseline_metric": "AP"}
    with (tmp_path / "study.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *about])
        writer.writeheader()
        writer.writerows({**row, **about} for row in rows)
    test = ClaimTest("study", "A late", "B late", "above", margin=1, than="A early")
    (found,) = claim_findings(Claim("it", "A catches up", "somebody", "", (test,)), tmp_path)
    assert (found.difference, found.seeds, found.verdict) == (6, 3, "supported")
    # Four rows of variance 0.09 / 3, and 0.5^2 of images twice: many degrees of freedom.
    assert found.low is not None and (6 - found.low) / (4 * 0.03 + 0.5) ** 0.5 == pytest.approx(1.98, abs=0.02)
    without = ClaimTest("study", "A late", "B late", "above", margin=1, than="A never")
    (found,) = claim_findings(Claim("it", "A catches up", "somebody", "", (without,)), tmp_path)
    assert found.verdict == "open: not run"


def test_every_claim_names_rows_that_exist():
    claims = read_claims()
    assert len(claims) >= 11 and all(claim.claim.endswith(".") and claim.by for claim in claims)
    for test in (test for claim in claims for test in claim.tests):
        table = table_of(claiming.KEPT_RESULTS.parent / "sweeps", test.study)
        assert table is not None, test.study
        row = next((row for row in table.rows if row.name == test.row), None)
        assert row is not None and row.against == test.against, f"{test.row} of {test.study}"
        assert not test.than or any(row.name == test.than and row.against for row in table.rows), test.than


def test_the_kept_page_is_that_of_the_records(tmp_path, capsys):
    page = write_claims(docs=tmp_path)
    assert page.read_text() == (DOCS / "claims.md").read_text()
    assert sorted(p.name for p in (tmp_path / "claims").iterdir()) == sorted(
        p.name for p in (DOCS / "claims").iterdir()
    )
    again = {p.name: p.read_bytes() for p in (tmp_path / "claims").iterdir()}
    write_claims(docs=tmp_path)
    assert again == {p.name: p.read_bytes() for p in (tmp_path / "claims").iterdir()}


@pytest.mark.parametrize(
    "text, message",
    [
        ("claim: A\nby: B\ntests: []\n", "must have claim, by, contrary and a list of tests"),
        (
            "claim: A\nby: B\ncontrary: C\ntests: [{study: s, row: r, against: q, margin: 1}]\n",
            "a test has study, row, against",
        ),
        (
            "claim: A\nby: B\ncontrary: C\ntests: [{study: s, row: r, against: q, margin: 1, expected: more}]\n",
            "expected=more must be above, below or equal",
        ),
    ],
)
def test_what_is_no_claim_is_refused(text, message, tmp_path):
    (tmp_path / "it.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        read_claims(tmp_path)
    assert message in str(error.value)
    shutil.rmtree(tmp_path)
