"""The findings in a checkpoint, as a report and as data."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initctl.diagnosing.check import SEVERITIES, Check, Finding, Severity
from initctl.diagnosing.remedies import Remedy, rules
from initctl.diagnosing.training import AS_REQUESTED
from initctl.display.colors import BAD, GOOD, HEADING, WARNED
from initctl.display.folding import folded_rows, listing
from initctl.display.tables import Displayed, Report, Toned, Unwrapped, count
from initctl.escaping import shell_word
from initctl.grouping import grouped

if TYPE_CHECKING:
    from initctl.diagnosing.training import Reading
    from initctl.formats import Checkpoint
    from initctl.tensors import TensorSpec

_OUTPUT = "fixed"
_INDENT = "  "
_UNCHECKED = {"spread": "spreads", "symmetry": "equal rows", "norms": "norms", "biases": "biases"}
"""What is said to be unchecked if a check is left out, by the first part of its code."""
_STYLES: dict[Severity, str] = {"error": BAD, "warning": WARNED, "info": HEADING}


@dataclass(frozen=True, repr=False)
class Diagnosis(Displayed):
    """The `findings` of `checks` in `tensors` of a `checkpoint`, in the order of the checks.

    `reading` says whether weights count as trained. `unreadable` has the names of tensors that could not be read, with
    reasons. `remedies` fix all findings together, in this order. `root` is the one that was given.
    """

    checkpoint: Checkpoint
    tensors: tuple[TensorSpec, ...]
    checks: tuple[Check, ...]
    reading: Reading
    findings: tuple[Finding, ...]
    unreadable: tuple[tuple[str, str], ...]
    remedies: tuple[Remedy, ...]
    root: str | None

    @property
    def rules(self) -> list[str]:
        """The rules that fix all findings that rules can fix: for `apply`, in this order."""
        return list(rules(self.remedies, (tensor.name for tensor in self.checkpoint.tensors)))

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of this severity or a worse one."""
        return tuple(found for found in self.findings if _rank(found.severity) >= _rank(severity))

    def to_json(self) -> dict[str, Any]:
        """As the `data` of a JSON document."""
        return {
            "trained": self.reading.is_trained,
            "reading": self.reading.reason,
            "tensors": len(self.tensors),
            "findings": [found.to_json() for found in self.findings],
            "rules": self.rules,
            "unreadable": [{"tensor": name, "reason": reason} for name, reason in self.unreadable],
        }

    def report(self, *, unfold: bool = False) -> Report:
        """A paragraph for each check that found something, the command that fixes it, and totals."""
        parts: list[str] = []
        for check, findings in self.by_check():
            title = Toned(f"{check.severity}: {check.title} ({check.code})", _STYLES[check.severity])
            parts += [title, f"{_INDENT}{check.why} [{check.source}]"]
            parts += [*(f"{_INDENT}{tensors}: {said}" for tensors, said in folded(findings, unfold=unfold)), ""]
        if self.unreadable:
            parts += [
                *(f"not read: {tensors}: {reason}" for tensors, reason in listing(self.unreadable, unfold=unfold)),
                "",
            ]
        if self.remedies:
            parts += [f"{self.purpose}:", *(Unwrapped(f"{_INDENT}{line}") for line in self.command()), ""]
        return [*parts, self.summary() if self.findings else Toned(self.summary(), GOOD)]

    def by_check(self) -> list[tuple[Check, list[Finding]]]:
        """The findings of each check that found something, the worst first."""
        by_check = grouped((found.check, found) for found in self.findings)
        return sorted(by_check.items(), key=lambda group: -_rank(group[0].severity))

    @property
    def purpose(self) -> str:
        """What the command is for."""
        return "To fix it" if all(found.remedy for found in self.findings) else "To fix what rules can fix"

    def command(self) -> list[str]:
        """The command line that fixes everything that rules can fix, with one rule a line."""
        checkpoint = self.checkpoint
        ending = ".safetensors" if checkpoint.read_only else os.path.splitext(checkpoint.path)[1]
        output = _OUTPUT if checkpoint.is_directory else _OUTPUT + ending
        given = (("--root", checkpoint.root or self.root), ("--component", checkpoint.component or None))
        words = ["initctl apply", shell_word(checkpoint.whole), "-o", output]
        words += [f"{option} {shell_word(value)}" for option, value in given if value is not None]
        lines = [" ".join(words), *(f"{_INDENT}-r {shell_word(rule)}" for rule in self.rules)]
        return [f"{line} \\" for line in lines[:-1]] + lines[-1:]

    def summary(self) -> str:
        """How much was found, and whether weights count as trained, in a line."""
        numbers = Counter(found.severity for found in self.findings)
        said = ", ".join(_counted(numbers[each], each) for each in reversed(SEVERITIES) if numbers[each])
        state = "trained" if self.reading.is_trained else "fresh"
        tensors = count(len(self.tensors), "tensor")
        treated = f"treated as {state}: {self.reading.reason}"
        return "; ".join((f"{said or 'nothing found'} in {tensors}", treated, *self._unchecked()))

    def _unchecked(self) -> Iterator[str]:
        """What was left out since weights are trained, and how it is checked if that is wrong."""
        groups = {check.code.partition(".")[0] for check in self.checks if check.only_fresh and self.reading.is_trained}
        if left_out := [noun for group, noun in _UNCHECKED.items() if group in groups]:
            *first, last = left_out
            yield f"{', '.join(first)}{' and ' if first else ''}{last} were not checked"
            if self.reading.reason != AS_REQUESTED:
                yield "name the tensors that are fresh, or use --fresh"


def folded(findings: Sequence[Finding], *, unfold: bool) -> Iterator[tuple[str, str]]:
    """`findings` of one check: tensors, and their message. Tensors that differ only in layer numbers are together, with
    the message of the first one, unless `unfold`.
    """
    for tensors, alike in folded_rows(findings, lambda found: found.tensor, _call, unfold=unfold, above=0):
        first, is_same = alike[0], len({found.message for found in alike}) == 1
        yield f"{tensors}{'' if is_same else ', the first'}", f"{first.message}; {first.remedy or 'no rule fixes it'}"


def _call(found: Finding) -> str | None:
    """The initializer that fixes it."""
    return found.remedy and found.remedy.call


def _counted(number: int, severity: Severity) -> str:
    return f"{number:,} {severity}" if severity == "info" else count(number, severity)


def _rank(severity: Severity) -> int:
    return SEVERITIES.index(severity)
