"""A kind of fault, and one that was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from initctl.escaping import shell_word

if TYPE_CHECKING:
    from initctl.diagnosing.examination import Examination
    from initctl.diagnosing.remedies import Remedy

Severity = Literal["info", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")
"""From the least to the worst. An error is always a fault; a warning is very likely one."""


class Fault(NamedTuple):
    """A fault of the tensor called `tensor`. The message is a sentence that follows its name. The remedy is None if no
    rule can fix it.
    """

    tensor: str
    message: str
    remedy: Remedy | None


class Check(NamedTuple):
    """Looks for one kind of fault, with a `code` that does not change between versions.

    `title` names the fault, `why` says why it matters, and `source` is the paper or library that says so. A check that
    is `only_fresh` does not apply to trained weights.
    """

    code: str
    severity: Severity
    title: str
    why: str
    source: str
    find: Callable[[Examination], Iterator[Fault]]
    only_fresh: bool = False


class Finding(NamedTuple):
    """A fault that a check found."""

    check: Check
    tensor: str
    message: str
    remedy: Remedy | None

    @property
    def severity(self) -> Severity:
        return self.check.severity

    @property
    def rule(self) -> str | None:
        """The rule that fixes it; None if no rule can."""
        return self.remedy and self.remedy.rule

    @property
    def mending(self) -> str:
        """How to fix it: a sentence."""
        return f"Fix it with -r {shell_word(self.rule)}." if self.rule else "No rule fixes it."

    def to_json(self) -> dict[str, Any]:
        return {
            "code": self.check.code,
            "severity": self.severity,
            "tensor": self.tensor,
            "message": self.message,
            "why": self.check.why,
            "source": self.check.source,
            "rule": self.rule,
        }
