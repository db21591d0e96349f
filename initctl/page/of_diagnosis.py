"""The page of the findings in a checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from initctl.diagnosing.check import SEVERITIES, Check, Finding
from initctl.diagnosing.diagnosis import folded
from initctl.display.tables import count
from initctl.errors import shown
from initctl.page.content import Column, Fact, Item, ItemList, Page, Section, ShellLines, TensorTable
from initctl.page.problems import warnings

if TYPE_CHECKING:
    from initctl.diagnosing import Diagnosis

_COLUMNS = (
    Column("tensor", "name"),
    Column("severity"),
    Column("code"),
    Column("finding", "prose"),
    Column("rule that fixes it"),
)


def diagnosis_page(found: Diagnosis) -> Page:
    """The findings of each check, with the reason why they matter; the command that fixes them; and a row for each."""
    return Page("doctor", shown(found.checkpoint.path), list(_facts(found)), list(_sections(found)), found.summary())


def _facts(found: Diagnosis) -> Iterator[Fact]:
    numbers = Counter(finding.severity for finding in found.findings)
    for severity, name in zip(reversed(SEVERITIES), ("errors", "warnings", "infos"), strict=True):
        yield Fact(name, f"{numbers[severity]:,}")
    yield Fact("tensors", f"{len(found.tensors):,}")
    yield Fact("treated as", "trained" if found.reading.is_trained else "fresh")
    if found.unreadable:
        yield Fact("not read", f"{len(found.unreadable):,}")


def _sections(found: Diagnosis) -> Iterator[Section]:
    yield from warnings(found.checkpoint.warnings)
    if found.findings:
        yield ItemList("Findings", [_item(check, findings) for check, findings in found.by_check()])
    if found.remedies:
        yield ShellLines(found.purpose, found.command())
    if found.findings:
        yield TensorTable("By tensor", _COLUMNS, list(map(_row, found.findings)))
    if found.unreadable:
        yield ItemList("Not read", [Item("", shown(name), reason) for name, reason in found.unreadable])


def _item(check: Check, findings: Sequence[Finding]) -> Item:
    alike = [Fact(*each) for each in folded(findings, unfold=False)]
    details = [Fact("why", check.why), Fact("source", check.source), *alike]
    return Item(check.severity, check.title, f"{check.code}, {count(len(findings), 'tensor')}", details, check.severity)


def _row(finding: Finding) -> Sequence[str]:
    return shown(finding.tensor), finding.severity, finding.check.code, finding.message, finding.rule or ""
