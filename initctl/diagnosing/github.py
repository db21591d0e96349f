"""Findings as annotations: workflow commands, which GitHub Actions reads from a step's output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from initctl.diagnosing.diagnosis import Diagnosis, folded
from initctl.display.folding import listing
from initctl.escaping import escape

if TYPE_CHECKING:
    from initctl.diagnosing.check import Severity

_COMMANDS: Mapping[Severity, str] = {"error": "error", "warning": "warning", "info": "notice"}


def workflow_commands(diagnosis: Diagnosis) -> Iterator[str]:
    """A command, in one line, for each finding, for each tensor that cannot be read, and for the summary. Tensors that
    differ only in layer numbers are together.

    Everything in a line is escaped, so that a name cannot end the line or begin a command.
    """
    for check, findings in diagnosis.by_check():
        for tensors, said in folded(findings, unfold=False):
            yield _command(check.severity, f"{check.code}: {check.title}", f"{tensors}: {said}. {check.why}")
    for tensors, reason in listing(diagnosis.unreadable, unfold=False):
        yield _command("info", "not read", f"{tensors}: {reason}")
    yield _command("info", "initctl doctor", diagnosis.summary())


def _command(severity: Severity, title: str, message: str) -> str:
    """`::warning title=…::…`, as actions/toolkit (packages/core/src/command.ts) writes it."""
    name = _data(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{_COMMANDS[severity]} title={name}::{_data(message)}"


def _data(text: str) -> str:
    return escape(text).replace("%", "%25")
