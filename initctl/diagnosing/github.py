"""Findings as annotations of GitHub Actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from initctl.diagnosing.diagnosis import Diagnosis, folded
from initctl.display.annotations import Kind, annotation
from initctl.display.folding import listing

if TYPE_CHECKING:
    from initctl.diagnosing.check import Severity

_KINDS: Mapping[Severity, Kind] = {"error": "error", "warning": "warning", "info": "notice"}


def workflow_commands(diagnosis: Diagnosis) -> Iterator[str]:
    """An annotation for each finding, for each tensor that cannot be read, and for the summary. Tensors that differ
    only in layer numbers are together.
    """
    for check, findings in diagnosis.by_check():
        for tensors, said in folded(findings, unfold=False):
            yield annotation(_KINDS[check.severity], f"{check.code}: {check.title}", f"{tensors}: {said}. {check.why}")
    for tensors, reason in listing(diagnosis.unreadable, unfold=False):
        yield annotation("notice", "not read", f"{tensors}: {reason}")
    yield annotation("notice", "initctl doctor", diagnosis.summary())
