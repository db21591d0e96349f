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
"""From the least to the worst. An error is a fault whatever was meant, a warning is very likely one."""


class Fault(NamedTuple):
    """What is wrong with the tensor called `tensor`: a sentence that follows its name; and what mends it, if a rule
    can.
    """

    tensor: str
    message: str
    remedy: Remedy | None


class Check(NamedTuple):
    """Looks for one kind of fault, called by a `code` that stays from version to version.

    `title` names the fault, `why` says why it matters, and `source` who says so. What is `only_fresh` is a fault of
    fresh weights, and none of trained ones.
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
        """The rule that mends it, if one can."""
        return self.remedy and self.remedy.rule

    @property
    def mending(self) -> str:
        """How it is mended: a sentence."""
        return f"Mend it with -r {shell_word(self.rule)}." if self.rule else "No rule mends it."

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
