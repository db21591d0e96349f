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
    """A command for each finding, those of layers alike together, for what is not read, and for the summary: a
    line each.

    All that a line holds is escaped already, so that no name ends it and none is a command of its own.
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
