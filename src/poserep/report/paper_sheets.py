"""The rows of a paper's table as sheets, with published values beside ours and what rows differ by; and as CSV."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from poserep.report.baseline_differences import chief_metric
from poserep.report.paper_rows import PaperRow
from poserep.report.run_sheets import mean_and_sd, number_cell
from poserep.runs.result_values import format_number
from poserep.sheet import WARNING_MARK, Column, Sheet, SheetCell, texts
from poserep.sweeps.table import MODES, Table

# Characters of a cause that stands in the column; longer ones stand below the table.
LONGEST_CAUSE = 40
MODE_TITLES = {
    "published": "published mode: rows as their papers made them",
    "controlled": "controlled mode: one recipe for all rows",
}


def paper_sheets(table: Table, rows: Sequence[PaperRow], notes: Sequence[str] = ()) -> list[Sheet]:
    """Return a sheet for each mode and kind of boxes, in the order of the rows; notes stand below each.

    Numbers that were measured with other boxes share no sheet.
    """
    kinds = list(dict.fromkeys(table.boxes_of(row.row) for row in rows))

    def sheet_of(row: PaperRow) -> tuple[int, int]:
        return MODES.index(row.mode), kinds.index(table.boxes_of(row.row))

    ordered = sorted(rows, key=sheet_of)
    return [_ModeSheet(table, list(members), notes).sheet() for _, members in groupby(ordered, sheet_of)]


def table_metrics(table: Table, rows: Sequence[PaperRow]) -> tuple[str, ...]:
    """Return the columns of the table, or those of the first run if it has none."""
    return table.columns or next((row.shown for row in rows if row.shown), ())


def decimals(table: Table, rows: Sequence[PaperRow], metric: str) -> int:
    """Return the decimals of a metric: those of the published values, at least one, and two for errors."""
    least = 2 if any(metric in row.lower for row in rows) else 1
    printed = [row.values.get(metric) for row in table.rows]
    return max([least, *(len(str(v).partition(".")[2]) for v in printed if isinstance(v, float))])


class _ModeSheet:
    """The sheet of one mode; it numbers footnotes while cells are made."""

    def __init__(self, table: Table, rows: list[PaperRow], notes: Sequence[str]) -> None:
        self.table, self.rows, self.more = table, rows, notes
        self.boxes = table.boxes_of(rows[0].row)
        self.metrics = table_metrics(table, rows)
        self.chief = chief_metric(table, rows)
        self.places = {m: decimals(table, rows, m) for m in {*self.metrics, self.chief}}
        self.footnotes: list[str] = []
        self.published = any(row.values.get(m) is not None for row in table.rows for m in self.metrics)
        self.compared = any(row.against for row in table.rows)
        # Rows that tell their size in their names need no column for it.
        sized = any(o.startswith("size=") for row in rows for o in row.variant)
        self.about = [*(["size"] if sized else []), *(["setting"] if any(row.setting for row in rows) else [])]
        # What all rows have in common stands above the table.
        self.marked = len({row.marks for row in rows if row.marks}) > 1

    def sheet(self) -> Sheet:
        paper = f"{self.table.paper}: " if self.table.paper else ""
        title = f"{paper}{self.table.title}; {MODE_TITLES[self.rows[0].mode]}"
        title += "; whole images, without boxes" if self.boxes == "scene" else ""
        rows = [list(self._cells(row)) for row in self.rows]
        return Sheet(title, list(self._columns()), rows, self._warning(), self.footnotes, list(self._notes()))

    def _columns(self) -> Iterator[Column]:
        yield from texts("row", *self.about)
        for metric in self.metrics:
            leading = metric == self.chief
            if self.published:
                yield from (Column(text, metric, True, leading) for text in ("paper", "ours", "Δ"))
            else:
                yield Column(metric, numeric=True, leading=leading)
        yield Column("seeds", numeric=True)
        if self.compared:
            yield from (Column(f"{self.chief} - baseline [95 %]", numeric=True), Column("baseline"))
        yield from texts("status", *(["not as the row says"] if self.marked else []))

    def _cells(self, row: PaperRow) -> Iterator[SheetCell | str]:
        undetermined = row.row.undetermined and f"undetermined: {row.row.undetermined}"
        literature = row.row.literature and f"published elsewhere: {row.row.literature}"
        refs = (*self._refs(undetermined), *self._refs(literature))
        yield SheetCell(row.row.name, refs=refs, marked=bool(row.marks))
        yield from (getattr(row, name) for name in self.about)
        for metric in self.metrics:
            places = self.places[metric]
            if self.published:
                yield number_cell(row.row.values.get(metric), places)
            yield SheetCell(mean_and_sd(row.values.get(metric, ()), places), row.mean(metric))
            if self.published:
                yield number_cell(row.delta(metric), places, "+")
        yield number_cell(len(row.runs) or None, 0)
        if self.compared:
            yield from (self._difference(row), row.row.against or "")
        # Causes are often the same for many rows, and longer than the column is wide.
        state, _, cause = row.status.partition(": ")
        long = len(cause) > LONGEST_CAUSE
        yield SheetCell(state if long else row.status, refs=self._refs(row.row.quoted or (cause if long else "")))
        if self.marked:
            yield "; ".join(row.marks)

    def _difference(self, row: PaperRow) -> SheetCell:
        if row.against_baseline is None:
            reason = row.why_not and f"no difference to the baseline: {row.why_not}"
            return SheetCell(format_number(None), refs=self._refs(reason))
        gap = row.against_baseline
        of_seeds = gap.seeds_low is not None
        ends = (gap.seeds_low, gap.seeds_high) if of_seeds else (gap.low, gap.high)
        difference, low, high = (f"{v:+.{self.places[self.chief]}f}" for v in (gap.difference, *ends))
        refs = self._refs("held against a row of another protocol; both stand below") if row.across else ()
        return SheetCell(f"{difference} [{low}, {high}]", gap.difference, refs=refs)

    def _refs(self, text: str) -> tuple[int, ...]:
        if text and text not in self.footnotes:
            self.footnotes.append(text)
        return (self.footnotes.index(text) + 1,) if text else ()

    def _warning(self) -> str:
        marked = [row for row in self.rows if row.marks]
        if not marked:
            return ""
        ran = sum(row.status not in ("not run", "quoted") for row in self.rows)
        reasons = dict.fromkeys(mark for row in marked for mark in row.marks)
        text = f"{WARNING_MARK} {len(marked)} of {ran} rows did not run as they say ({'; '.join(reasons)})"
        text += "; no Δ, as the published values are of other data" if any(row.foreign for row in marked) else ""
        return text + ("; smoke runs are no results" if "trainer=smoke" in reasons else "")

    def _notes(self) -> Iterator[str]:
        if self.published:
            where = "whole images" if self.boxes == "scene" else f"{self.boxes} boxes"
            yield f"published values: {self.table.data or 'of unknown data'}, {where}"
        yield from self.table.notes
        followers: dict[str, dict[str, None]] = {}
        for row in self.rows:
            if row.protocol:
                followers.setdefault(row.protocol, {})[row.row.name] = None
        for protocol, names in followers.items():
            of = f" of {'; '.join(names)}" if len(followers) > 1 else ""
            yield f"protocol{of}: {protocol}"
        if any(row.against_baseline for row in self.rows):
            yield (
                f"{self.chief} - baseline: mean over the seeds that both rows have, with the 95 % interval over seeds "
                "and images, of a single seed over images alone (table.csv has that of all)"
            )
        yield from self.more


def paper_csv(table: Table, rows: Sequence[PaperRow]) -> str:
    """Return a line per row, mode and size; numbers have up to four decimals, and what is unknown stays empty."""
    metrics = table_metrics(table, rows)
    head = ["row", "mark", "not_as_the_row_says", "mode", "size", "setting", "status", "readout", "boxes", "seeds"]
    head += [f"{kind}_{m}" for m in metrics for kind in ("paper", "ours", "sd", "delta")]
    head += ["baseline", "baseline_metric", "difference", "low", "high"]
    head += ["common_seeds", "seeds_low", "seeds_high", "no_difference_because"]
    lines = []
    for one in rows:
        row, gap = one.row, one.against_baseline
        cells = [row.name, WARNING_MARK if one.marks else "", "; ".join(one.marks), one.mode, one.size, one.setting]
        cells += [one.status, one.readout, table.boxes_of(row), str(len(one.runs))]
        for m in metrics:
            cells += map(_csv_number, (row.values.get(m), one.mean(m), one.sd(m), one.delta(m)))
        cells += [row.against or "", gap.metric if gap else "", *map(_csv_number, gap[:3] if gap else (None,) * 3)]
        cells += [str(len(gap.seeds)) if gap else ""]
        cells += map(_csv_number, (gap.seeds_low, gap.seeds_high) if gap else (None, None))
        runs = " ".join(path.name for path in one.runs.values())
        lines.append([*cells, one.why_not, row.undetermined, row.literature, row.quoted, runs, one.protocol])
    return Sheet("", texts(*head, "undetermined", "literature", "quoted", "runs", "protocol"), lines).csv()


def _csv_number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")
