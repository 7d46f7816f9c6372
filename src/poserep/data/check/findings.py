"""The results of a check: rules, the places where they are broken, and the printed report."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console
from rich.text import Text


@dataclass(frozen=True)
class Rule:
    """A rule that data must keep: what is wrong where it is broken, and what to do then.

    An ``error`` stops training or falsifies numbers; otherwise it is a warning.
    """

    name: str
    remedy: str
    error: bool = True


class Finding(NamedTuple):
    """A place where a rule is broken: file or record, and the value that stands there."""

    rule: Rule
    where: str
    value: str = ""


def findings_at(rule: Rule, mask: ArrayLike, where: Sequence[str], value: Callable[[int], str]) -> Iterator[Finding]:
    """Yield a finding for every record where a mask (N,) is set; ``value`` is called for those alone."""
    for i in np.flatnonzero(mask).tolist():
        yield Finding(rule, where[i], value(i))


@dataclass
class Section:
    """The findings in one part of a data set, and notes on what was read."""

    title: str
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def broken(self) -> bool:
        """Tell whether there is an error."""
        return any(finding.rule.error for finding in self.findings)

    def by_rule(self) -> dict[Rule, list[Finding]]:
        """Return the findings of each broken rule, errors first."""
        groups: dict[Rule, list[Finding]] = {}
        for finding in sorted(self.findings, key=lambda f: not f.rule.error):
            groups.setdefault(finding.rule, []).append(finding)
        return groups


def print_sections(sections: Sequence[Section], most: int, console: Console) -> None:
    """Print all sections, ``most`` places of each broken rule, and a closing line of counts."""

    def line(*parts: str | tuple[str, str], style: str = "") -> None:
        console.print(Text.assemble(*parts, style=style), soft_wrap=True)

    for section in sections:
        line(section.title, style="bold")
        for note in section.notes:
            line(f"  {note}", style="dim")
        for rule, findings in section.by_rule().items():
            kind = ("error", "bold red") if rule.error else ("warning", "bold yellow")
            line("  ", kind, f" {rule.name}: {len(findings)}")
            for finding in findings[:most]:
                line(f"      {finding.where}" + (f": {finding.value}" if finding.value else ""))
            if len(findings) > most:
                line(f"      and {len(findings) - most} more")
            if rule.remedy:
                line(f"      → {rule.remedy}", style="dim")
    counts = []
    for error, name in ((True, "error"), (False, "warning")):
        places = [len(at) for section in sections for rule, at in section.by_rule().items() if rule.error is error]
        rules, total = len(places), sum(places)
        some = f"{rules} {name}{'s' * (rules > 1)} in {total} place{'s' * (total > 1)}"
        counts.append(some if rules else f"no {name}s")
    line(" and ".join(counts), style="bold")
