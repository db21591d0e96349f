"""What verifying a checkpoint came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group

from initctl.errors import shown
from initctl.report.tables import Listing, count

if TYPE_CHECKING:
    from rich.console import RenderableType

    from initctl.audit import Difference, Verification

_HEADING = ("tensor", "first difference at", "expected", "found")


def verification_report(found: Verification) -> RenderableType:
    """The first element of each tensor that differs, and what was compared."""
    tensors = len({action.tensor.name for action in found.plan.actions})
    ruled = count(tensors, "tensor")
    compared = f"compared {count(found.compared, 'element')}; {ruled} by rule; seed {found.plan.seed}"
    if found.holds:
        where = "" if found.sample is None else ", as far as was compared"
        return Group(f"{shown(found.plan.checkpoint.path)}: holds what the rules give{where}", compared)
    rows = [_row(difference) for difference in found.differences]
    differing = f"{shown(found.plan.checkpoint.path)}: {count(len(rows), 'tensor')} not as the rules give"
    return Group(Listing(_HEADING, rows), "", differing, compared)


def _row(difference: Difference) -> tuple[str, ...]:
    index = f"[{', '.join(map(str, difference.index))}]"
    return shown(difference.tensor), index, *_told_apart(difference.expected, difference.found)


def _told_apart(one: complex, other: complex) -> tuple[str, str]:
    """Two numbers in as few digits as float32 takes, or in all of them where these do not tell them apart."""
    if isinstance(one, int) and isinstance(other, int):
        return str(one), str(other)
    short = f"{one:.9g}", f"{other:.9g}"
    return short if short[0] != short[1] else (repr(one), repr(other))
