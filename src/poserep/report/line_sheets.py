"""The lines of a sweep's table as sheets: published values, ours, what they differ by, and how each row stands."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from poserep.report.intervals import chief
from poserep.report.lines import Line
from poserep.report.sheet import MARK, Entry, Heading, Sheet
from poserep.runs.values import number
from poserep.sweeps.table import Table

MODES = {
    "published": "published mode: rows as their papers made them",
    "controlled": "controlled mode: one recipe for all rows",
}
NONE = number(None)


def sheets(table: Table, lines: Sequence[Line], notes: Sequence[str] = ()) -> list[Sheet]:
    """A sheet for each mode, in the order of the lines.

    Args:
        table: Theirs.
        lines: Of the table.
        notes: To stand below each sheet, after the table's own.
    """
    return [_Writer(table, list(members), notes).sheet() for _, members in groupby(lines, lambda line: line.mode)]


def metrics(table: Table, lines: Sequence[Line]) -> tuple[str, ...]:
    """The columns of the table, or those of the first run if it has none."""
    return table.columns or next((line.shown for line in lines if line.shown), ())


def digits(table: Table, lines: Sequence[Line], metric: str) -> int:
    """Decimals of a metric: those of the published values, one at least, two for errors."""
    least = 2 if any(metric in line.lower for line in lines) else 1
    printed = [row.values.get(metric) for row in table.rows]
    return max([least, *(len(str(v).partition(".")[2]) for v in printed if isinstance(v, float))])


class _Writer:
    def __init__(self, table: Table, lines: list[Line], notes: Sequence[str]) -> None:
        self.table, self.lines, self.more = table, lines, notes
        self.metrics = metrics(table, lines)
        self.chief = chief(table, lines)
        self.footnotes: list[str] = []
        self.published = any(row.values.get(m) is not None for row in table.rows for m in self.metrics)
        self.held = any(row.against for row in table.rows)
        # Rows that say their size in their names need no column for it.
        self.sized = any(o.startswith("size=") for line in lines for o in line.variant)
        self.set = any(line.setting for line in lines)
        # What all rows have in common stands above the table.
        self.marked = len({line.marks for line in lines if line.marks}) > 1

    def sheet(self) -> Sheet:
        paper = f"{self.table.paper}: " if self.table.paper else ""
        rows = tuple(tuple(self._cells(line)) for line in self.lines)
        return Sheet(
            title=f"{paper}{self.table.title}; {MODES[self.lines[0].mode]}",
            headings=tuple(self._headings()),
            rows=rows,
            warning=self._warning(),
            footnotes=tuple(self.footnotes),
            notes=tuple(self._notes()),
        )

    def _headings(self) -> Iterator[Heading]:
        yield Heading("row")
        for shown, text in ((self.sized, "size"), (self.set, "setting")):
            if shown:
                yield Heading(text)
        for metric in self.metrics:
            if self.published:
                yield from (Heading(text, metric, True) for text in ("paper", "ours", "Δ"))
            else:
                yield Heading(metric, numeric=True)
        yield Heading("seeds", numeric=True)
        if self.held:
            yield Heading(f"{self.chief} - baseline [95 %]", numeric=True)
            yield Heading("baseline")
        yield Heading("status")
        if self.marked:
            yield Heading("not as the row says")

    def _cells(self, line: Line) -> Iterator[Entry]:
        refs = self._refs(f"undetermined: {line.row.undetermined}" if line.row.undetermined else "")
        yield Entry(line.row.name, refs=refs, marked=bool(line.marks))
        if self.sized:
            yield Entry(line.size)
        if self.set:
            yield Entry(line.setting)
        for metric in self.metrics:
            places = digits(self.table, self.lines, metric)
            mean, sd, delta = line.mean(metric), line.sd(metric), line.delta(metric)
            if self.published:
                yield _number(line.row.values.get(metric), places)
            spread = f" ± {sd:.{places}f}" if sd is not None else ""
            yield Entry(number(mean, places) + spread, mean)
            if self.published:
                yield _number(delta, places, "+")
        yield Entry(str(len(line.runs)), len(line.runs)) if line.runs else Entry(NONE)
        if self.held:
            yield self._gap(line)
            yield Entry(line.row.against or "")
        yield Entry(line.status, refs=self._refs(line.row.quoted))
        if self.marked:
            yield Entry("; ".join(line.marks))

    def _gap(self, line: Line) -> Entry:
        if line.gap is None:
            why = f"no difference to the baseline: {line.why_not}" if line.why_not else ""
            return Entry(NONE, refs=self._refs(why))
        places = digits(self.table, self.lines, self.chief)
        difference, low, high = (f"{v:+.{places}f}" for v in line.gap[:3])
        refs = self._refs("held against a row of another protocol; both stand below") if line.across else ()
        return Entry(f"{difference} [{low}, {high}]", line.gap.difference, refs=refs)

    def _refs(self, text: str) -> tuple[int, ...]:
        if not text:
            return ()
        if text not in self.footnotes:
            self.footnotes.append(text)
        return (self.footnotes.index(text) + 1,)

    def _warning(self) -> str:
        marked = [line for line in self.lines if line.marks]
        if not marked:
            return ""
        ran = sum(line.status not in ("not run", "quoted") for line in self.lines)
        left = "; no Δ, as the published values are of other data" if any(line.foreign for line in marked) else ""
        told = dict.fromkeys(mark for line in marked for mark in line.marks)
        left += "; smoke runs are no results" if "trainer=smoke" in told else ""
        return f"{MARK} {len(marked)} of {ran} rows did not run as they say ({'; '.join(told)}){left}"

    def _notes(self) -> Iterator[str]:
        if self.published:
            yield f"published values: {self.table.data or 'data not told'}, {self.table.boxes} boxes"
        yield from self.table.notes
        followed: dict[str, list[str]] = {}
        for line in self.lines:
            if line.protocol:
                followed.setdefault(line.protocol, []).append(line.row.name)
        for protocol, names in followed.items():
            whose = "" if len(followed) == 1 else f" of {'; '.join(dict.fromkeys(names))}"
            yield f"protocol{whose}: {protocol}"
        if any(line.gap for line in self.lines):
            yield (
                f"{self.chief} - baseline: mean over the seeds that both rows have, with the 95 % interval over the "
                "choice of images; how seeds scatter is what ± says"
            )
        yield from self.more


def _number(value: float | None, places: int, sign: str = "") -> Entry:
    return Entry(NONE) if value is None else Entry(f"{value:{sign}.{places}f}", value)
