"""What a check says: rules, where they are broken, and the report of all."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console
from rich.text import Text


@dataclass(frozen=True)
class Rule:
    """Something that must hold.

    Attributes:
        name: What is wrong where it does not, in a few words.
        remedy: What to do then.
        error: It stops training or falsifies numbers; otherwise it is worth a look.
        left_out: With data.skip_invalid=true such records are left out, which makes this no error.
    """

    name: str
    remedy: str
    error: bool = True
    left_out: bool = False


class Finding(NamedTuple):
    """One place where a rule is broken.

    Attributes:
        rule: Which.
        where: File or record.
        value: What stands there.
    """

    rule: Rule
    where: str
    value: str = ""


def at(rule: Rule, mask: ArrayLike, where: Sequence[str], value: Callable[[int], str]) -> Iterator[Finding]:
    """A finding for every record where a mask (N,) is set; values are only written for those."""
    for i in np.flatnonzero(mask).tolist():
        yield Finding(rule, where[i], value(i))


@dataclass
class Section:
    """What was found in one part of a data set.

    Attributes:
        title: The split, and its file.
        skip_invalid: As configured.
        notes: What was read, in lines.
        findings: In the order of the rules.
    """

    title: str
    skip_invalid: bool = False
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, found: Iterable[Finding]) -> None:
        """Keep findings."""
        for finding in found:
            excused = self.skip_invalid and finding.rule.left_out
            rule = replace(finding.rule, error=False) if excused else finding.rule
            self.findings.append(finding._replace(rule=rule))

    def broken(self) -> bool:
        """Whether there is an error."""
        return any(finding.rule.error for finding in self.findings)

    def by_rule(self) -> dict[Rule, list[Finding]]:
        """The findings of each rule that is broken, errors first."""
        groups: dict[Rule, list[Finding]] = {}
        for finding in sorted(self.findings, key=lambda f: not f.rule.error):
            groups.setdefault(finding.rule, []).append(finding)
        return groups


def show(sections: Sequence[Section], most: int, console: Console) -> None:
    """Print all sections, with the first few places of each broken rule, and a closing line of counts.

    Args:
        sections: Of one data set.
        most: Places to show of each rule.
        console: Where to.
    """
    for section in sections:
        console.print(Text(section.title, style="bold"), soft_wrap=True)
        for note in section.notes:
            console.print(Text(f"  {note}", style="dim"), soft_wrap=True)
        for rule, found in section.by_rule().items():
            kind, style = ("error", "bold red") if rule.error else ("warning", "bold yellow")
            console.print(Text.assemble("  ", (kind, style), f" {rule.name}: {len(found)}"), soft_wrap=True)
            for finding in found[:most]:
                value = f": {finding.value}" if finding.value else ""
                console.print(Text(f"      {finding.where}{value}"), soft_wrap=True)
            if len(found) > most:
                console.print(Text(f"      and {len(found) - most} more"), soft_wrap=True)
            if rule.remedy:
                console.print(Text(f"      → {rule.remedy}", style="dim"), soft_wrap=True)
    broken = [(rule, len(found)) for section in sections for rule, found in section.by_rule().items()]
    parts = [
        _counted([places for rule, places in broken if rule.error is error], kind)
        for error, kind in ((True, "error"), (False, "warning"))
    ]
    console.print(" and ".join(parts), soft_wrap=True, style="bold")


def _counted(found: Sequence[int], kind: str) -> str:
    rules, places = len(found), sum(found)
    if not rules:
        return f"no {kind}s"
    return f"{rules} {kind}{'s' * (rules > 1)} in {places} place{'s' * (places > 1)}"
