"""A table as a report shows it, whatever it is written as: headings in groups, cells, and all that stands around it."""

from dataclasses import dataclass, replace
from itertools import groupby

# After the name of a row that did not run as it says.
MARK = "‡"


@dataclass(frozen=True)
class Entry:
    """One cell.

    Attributes:
        text: As shown.
        value: To sort by; None where there is no number.
        refs: Numbers of footnotes.
        marked: Whether it carries `MARK`.
    """

    text: str = ""
    value: float | None = None
    refs: tuple[int, ...] = ()
    marked: bool = False


@dataclass(frozen=True)
class Heading:
    """Of a column.

    Attributes:
        text: As shown.
        group: The metric, of which several columns tell.
        numeric: Whether cells hold numbers.
    """

    text: str
    group: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table with all that belongs to it.

    Attributes:
        title: In a line.
        headings: Of the columns; the first one names the rows.
        rows: Cells.
        warning: What nobody may overlook.
        footnotes: Texts, the first is number 1.
        notes: What else a reader must know.
    """

    title: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[Entry, ...], ...]
    warning: str = ""
    footnotes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Groups of neighbouring columns, and how many columns each has; the first column stands alone."""
        return [("", 1), *((name, len(list(of))) for name, of in groupby(h.group for h in self.headings[1:]))]

    @property
    def grouped(self) -> bool:
        """Whether any column has a group."""
        return any(h.group for h in self.headings)

    def stacked(self) -> "Sheet":
        """The same with a row for each metric in place of columns, for where width is dear."""
        groups = list(dict.fromkeys(h.group for h in self.headings if h.group))
        if len(groups) < 2:
            return self
        first = next(i for i, h in enumerate(self.headings) if h.group)
        last = max(i for i, h in enumerate(self.headings) if h.group) + 1
        columns = [[i for i, h in enumerate(self.headings) if h.group == group] for group in groups]
        own = tuple(replace(self.headings[i], group="") for i in columns[0])
        headings = (*self.headings[:first], Heading("metric"), *own, *self.headings[last:])
        rows = []
        for row in self.rows:
            # Of a row without any number one line is enough.
            empty = all(row[i].value is None for members in columns for i in members)
            for n, (group, members) in enumerate(zip(groups[: 1 if empty else None], columns, strict=False)):
                about = row if n == 0 else (Entry(),) * len(row)
                rows.append((*about[:first], Entry(group), *(row[i] for i in members), *about[last:]))
        return replace(self, headings=headings, rows=tuple(rows))
