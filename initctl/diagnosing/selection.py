"""Which checks run: by their codes, or by the part before the dot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from initctl.errors import Problem, UsageError, shown
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from initctl.diagnosing.check import Check


def chosen(checks: Sequence[Check], select: Sequence[str], ignore: Sequence[str]) -> tuple[Check, ...]:
    """The `checks` that `select` names, or all if it is empty, without those that `ignore` names.

    A name is a code, or the part of a code before its dot. Raises `UsageError` for an unknown one.
    """
    wanted, unwanted = _codes(checks, "select", select), _codes(checks, "ignore", ignore)
    return tuple(c for c in checks if (c.code in wanted or not select) and c.code not in unwanted)


def _codes(checks: Sequence[Check], name: str, given: Sequence[str]) -> frozenset[str]:
    if isinstance(given, str):
        raise UsageError(Problem("usage.checks", f"{name}: must be a list", f"write {name}=[…]"))
    codes = [check.code for check in checks]
    groups = list(dict.fromkeys(code.partition(".")[0] for code in codes))
    found: set[str] = set()
    for text in given:
        taken = [code for code in codes if text in (code, code.partition(".")[0])]
        if not taken:
            hint = did_you_mean(text, [*codes, *groups]) or f"use a code, or a group: {', '.join(groups)}"
            raise UsageError(Problem("usage.checks", f"{name}: unknown check {shown(text)}", hint))
        found.update(taken)
    return frozenset(found)
