"""Which checks are asked for: by their codes, or by what these begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from initctl.errors import Problem, UsageError, shown
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from initctl.diagnosing.check import Check


def chosen(checks: Sequence[Check], select: Sequence[str], ignore: Sequence[str]) -> tuple[Check, ...]:
    """Those of `checks` that `select` takes, or all if it is empty, without those that `ignore` takes.

    Each is a code, or the part of one before its dot. Raises `UsageError` if one is neither.
    """
    wanted, unwanted = _codes(checks, "select", select), _codes(checks, "ignore", ignore)
    return tuple(c for c in checks if (c.code in wanted or not select) and c.code not in unwanted)


def _codes(checks: Sequence[Check], name: str, given: Sequence[str]) -> frozenset[str]:
    if isinstance(given, str):
        raise UsageError(Problem("usage.checks", f"{name}: one was given", "give a list of them"))
    codes = [check.code for check in checks]
    groups = list(dict.fromkeys(code.partition(".")[0] for code in codes))
    found: set[str] = set()
    for text in given:
        taken = [code for code in codes if text in (code, code.partition(".")[0])]
        if not taken:
            hint = did_you_mean(text, [*codes, *groups]) or f"there are {', '.join(groups)}"
            raise UsageError(Problem("usage.checks", f"{name}: no check is called {shown(text)}", hint))
        found.update(taken)
    return frozenset(found)
