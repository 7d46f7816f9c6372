"""Tables of sweep files: their rows, what was published of them, and the runs that they ask for."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from poserep.errors import InputError, nearest
from poserep.overrides import key_of
from poserep.runs.plan import Cell

MODES = ("published", "controlled")


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: Told apart by it from the table's other rows.
        overrides: What the row is, in either mode: ``key=value``.
        published: How its paper made it: names of recipes, and overrides.
        controlled: What the controlled mode says of it beside the table's.
        readout: Which readout the numbers are of; the representation's default one unless given.
        values: Published values by metric.
        against: Name of the row that it is held against; none is.
        undetermined: Settings that the sources do not tell, and what is taken in their place.
        quoted: Where a paper has numbers from that it did not measure; such a row is shown and not run.
    """

    name: str
    overrides: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    controlled: tuple[str, ...] = ()
    readout: str | None = None
    values: Mapping[str, float | None] = field(default_factory=dict)
    against: str | None = None
    undetermined: str = ""
    quoted: str = ""


@dataclass(frozen=True)
class Table:
    """What a sweep file says under ``table``.

    Attributes:
        title: In a line.
        rows: See `Row`.
        paper: Whose table it is; empty for our own studies.
        data: Name of the data set that published values were measured on.
        boxes: ``gt`` or ``det``, the boxes that they were measured with.
        columns: The published metrics, as results name them.
        mode: ``published`` or ``controlled``: whether rows follow their papers or all one recipe.
        controlled: That recipe: names of recipes, and overrides.
        recipes: Lists of overrides (and of names of others) by name.
        arguments: Overrides for every row, as they stand on a command line, as ``seed=0,1,2``.
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
        """The rows that are not quoted."""
        return tuple(row for row in self.rows if not row.quoted)

    def settings(self, row: Row) -> dict[str, str]:
        """The overrides of a row in the table's mode, by key; its own win over those of recipes.

        Raises:
            InputError: If a recipe is unknown.
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
    """A table from the mapping in a sweep file.

    Raises:
        InputError: If a key is unknown or missing, a name stands twice, or a row is held against none that is there.
    """
    table = _checked(Table, dict(node), "table")
    rows = []
    for number, found in enumerate(node["rows"], 1):
        # Our own studies name their rows by what they set.
        named = {"name": " ".join(found.get("overrides", ())), **found}
        rows.append(Row(**_checked(Row, named, f"row {number} of table.rows")))
    names = [row.name for row in rows]
    for row in rows:
        if names.count(row.name) > 1:
            raise InputError(f"table.rows: two rows have the name {row.name!r}")
        if row.against is not None and row.against not in names:
            raise InputError(
                f"row {row.name!r} is against {row.against!r}, which is no row{nearest(row.against, names)}"
            )
    if table.get("mode", "published") not in MODES:
        raise InputError(f"no table.mode {table['mode']!r}{nearest(str(table['mode']), MODES)}")
    return Table(**{**table, "rows": tuple(rows)})


def _checked(kind: type, node: dict[str, Any], where: str) -> dict[str, Any]:
    known = {f.name: f for f in fields(kind)}
    for key in node:
        if key not in known:
            raise InputError(f"{where} has no key {key!r}{nearest(key, known)}")
    for name, about in known.items():
        if name not in node and about.default is MISSING and about.default_factory is MISSING:
            raise InputError(f"{where} needs {name}")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in node.items()}


def chosen(table: Table, patterns: Sequence[str]) -> set[str]:
    """Names of the rows that can run and are meant by any of the patterns; all without patterns.

    Args:
        table: Whose rows.
        patterns: Names, or patterns as a shell has them for files: ``SimCC*``.

    Raises:
        InputError: If one means none of them.
    """
    names = [row.name for row in table.runnable]
    wanted: set[str] = set()
    for pattern in patterns or ["*"]:
        # Names may hold what means something in a pattern.
        found = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        if not found and patterns:
            near = get_close_matches(pattern.strip("*"), names, 3, 0.3)
            told = f", among them {', '.join(map(repr, near))}" if near else ""
            raise InputError(f"no row {pattern!r} that can run; there are {len(names)}{told}")
        wanted.update(found)
    return wanted


def cells(
    table: Table,
    given: Mapping[str, Sequence[str]],
    groups: Collection[str] = (),
    defaults: Mapping[str, Sequence[str]] | None = None,
) -> list[Cell]:
    """The runs of a table, none twice.

    Args:
        table: Whose rows to run.
        given: From the command line: by key the overrides to take in turn. They replace what rows say of the key and,
            where it is a group, of everything in the group.
        groups: Names of the configuration's groups.
        defaults: As ``given``, from the table's ``arguments``, for keys that are not given.

    Raises:
        InputError: If a recipe is unknown.
    """
    choices = {**(defaults or {}), **given}
    found: dict[tuple[str, ...], Cell] = {}
    for row in table.runnable:
        kept = [o for key, o in table.settings(row).items() if not _replaced(key, choices, groups)]
        for chosen in itertools.product(*choices.values()):
            overrides = (*kept, *chosen)
            before = found[overrides].rows if overrides in found else ()
            told = tuple(o for o in chosen if key_of(o) in given and key_of(o) != "seed")
            found[overrides] = Cell(overrides, tuple(dict.fromkeys((*before, row.name))), told, table.mode)
    return list(found.values())


def _replaced(key: str, choices: Collection[str], groups: Collection[str]) -> bool:
    return key in choices or any(key.startswith(f"{group}.") for group in groups if group in choices)
