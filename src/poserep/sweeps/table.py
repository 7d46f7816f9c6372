"""Tables of sweep files: their rows, the published values, and the cells that they ask for."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from poserep.errors import InputError, nearest, similar
from poserep.overrides import groups, key_of, split_values
from poserep.runs.plan import Cell

MODES = ("published", "controlled")


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        overrides: What the row is, in either mode, as ``key=value``.
        published: How its paper made it: names of recipes, and overrides.
        controlled: Overrides of the controlled mode beside the table's.
        readout: The readout whose values the row shows; the representation's default if None.
        values: Published values by metric.
        against: The name of the row that it is compared with, if any.
        undetermined: Settings that the sources do not state, and what is taken instead.
        literature: What is published about it, and where, by other recipes than the row's.
        quoted: The source of numbers that the paper did not measure itself; such a row is shown and not run.
        boxes: The kind of boxes that its values were measured with, if not the table's: ``scene`` for people who are
            found in whole images.
    """

    name: str
    overrides: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    controlled: tuple[str, ...] = ()
    readout: str | None = None
    values: Mapping[str, float | None] = field(default_factory=dict)
    against: str | None = None
    undetermined: str = ""
    literature: str = ""
    quoted: str = ""
    boxes: str = ""


@dataclass(frozen=True)
class Table:
    """The part of a sweep file under ``table``.

    Attributes:
        paper: The paper and its table; empty for our own studies.
        data: The name of the data set that the published values were measured on.
        boxes: The kind of boxes that they were measured with, ``gt``, ``det`` or ``scene``.
        columns: The published metrics, as results name them.
        mode: ``published`` if each row follows its paper, ``controlled`` if all rows follow one recipe.
        controlled: That recipe: names of recipes, and overrides.
        recipes: Lists of overrides, and of names of other recipes, by name.
        arguments: Overrides for every row, as on a command line: ``seed=0,1,2``.
        notes: What a reader of the table must know.
    """

    title: str
    rows: tuple[Row, ...]
    paper: str = ""
    data: str = ""
    boxes: str = "gt"
    columns: tuple[str, ...] = ()
    mode: str = "published"
    controlled: tuple[str, ...] = ()
    recipes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def runnable(self) -> tuple[Row, ...]:
        """The rows that are run: those that are not quoted."""
        return tuple(row for row in self.rows if not row.quoted)

    def boxes_of(self, row: Row) -> str:
        """Return the kind of boxes that a row's values were measured with."""
        return row.boxes or self.boxes

    def settings(self, row: Row) -> dict[str, str]:
        """Return the overrides of a row in the table's mode, by key; its own win over those of recipes.

        An unknown recipe is an `InputError`.
        """
        named = row.published if self.mode == "published" else (*self.controlled, *row.controlled)
        return {key_of(o): o for o in self._expanded((*named, *row.overrides))}

    def _expanded(self, named: Sequence[str]) -> Iterator[str]:
        for word in named:
            if "=" in word:
                yield word
            elif word in self.recipes:
                yield from self._expanded(self.recipes[word])
            else:
                raise InputError(f"no recipe {word!r} in table.recipes{nearest(word, self.recipes)}")


def read_table(node: Mapping[str, Any]) -> Table:
    """Make a table of the mapping in a sweep file.

    An unknown or missing key, two equal names, and a row against one that does not exist are an `InputError`.
    """
    table = _checked(Table, dict(node), "table")
    rows = []
    for number, entry in enumerate(node["rows"], 1):
        # Our own studies name their rows by what they set.
        named = {"name": " ".join(entry.get("overrides", ())), **entry}
        rows.append(Row(**_checked(Row, named, f"row {number} of table.rows")))
    names = [row.name for row in rows]
    for row in rows:
        if names.count(row.name) > 1:
            raise InputError(f"table.rows: two rows have the name {row.name!r}")
        if row.against is not None and row.against not in names:
            raise InputError(
                f"row {row.name!r} is against {row.against!r}, which is not a row{nearest(row.against, names)}"
            )
    if table.get("mode", "published") not in MODES:
        raise InputError(f"no table.mode {table['mode']!r}{nearest(str(table['mode']), MODES)}")
    return Table(**{**table, "rows": tuple(rows)})


def _checked(kind: type, node: dict[str, Any], where: str) -> dict[str, Any]:
    known = {f.name: f for f in fields(kind)}
    for key in node:
        if key not in known:
            raise InputError(f"{where} has no key {key!r}{nearest(key, known)}")
    for name, field_ in known.items():
        if name not in node and field_.default is MISSING and field_.default_factory is MISSING:
            raise InputError(f"{where} needs {name}")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in node.items()}


def chosen(table: Table, patterns: Sequence[str]) -> set[str]:
    """Return the names of the runnable rows that match any of the names or shell-style patterns; without any, all.

    A pattern that matches no row is an `InputError`.
    """
    names = [row.name for row in table.runnable]
    matching: set[str] = set()
    for pattern in patterns or ["*"]:
        # A name may hold characters that have a meaning in patterns.
        matches = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        if not matches and patterns:
            # Rows are free text, in which the nearest key would be no help.
            alike = {name: similar(pattern.strip("*"), name) for name in names}
            near = [name for name in sorted(names, key=alike.__getitem__, reverse=True)[:3] if alike[name] > 0.3]
            examples = f", among them {', '.join(map(repr, near))}" if near else ""
            raise InputError(f"no row {pattern!r} that can run; there are {len(names)}{examples}")
        matching.update(matches)
    return matching


def cells_of(table: Table, arguments: Sequence[str] = ()) -> list[Cell]:
    """Return the cells of a table, each once; an unknown recipe is an `InputError`.

    ``arguments`` are the overrides of the command line, such as ``seed=0,1``, and win over the table's own. They
    replace the rows' overrides of that key and, if it is a group, of everything in the group.
    """
    given = split_values(arguments)
    choices = split_values(table.arguments) | given
    chosen_groups = tuple(f"{group}." for group in groups() if group in choices)
    by_overrides: dict[tuple[str, ...], Cell] = {}
    for row in table.runnable:
        settings = table.settings(row).items()
        kept = [o for key, o in settings if key not in choices and not key.startswith(chosen_groups)]
        for choice in itertools.product(*choices.values()):
            overrides = (*kept, *choice)
            earlier = by_overrides[overrides].rows if overrides in by_overrides else ()
            arguments = tuple(o for o in choice if key_of(o) in given and key_of(o) != "seed")
            rows = tuple(dict.fromkeys((*earlier, row.name)))
            by_overrides[overrides] = Cell(overrides, rows, arguments, table.mode)
    return list(by_overrides.values())
