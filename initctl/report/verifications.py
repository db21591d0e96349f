"""What verifying a checkpoint came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import shown
from initctl.report.tables import Listing, count

if TYPE_CHECKING:
    from initctl.audit import Difference, Verification
    from initctl.report.tables import Report


def verification_report(found: Verification) -> Report:
    """The first element of each tensor that differs, and what was compared."""
    path = shown(found.path)
    lines = [f"{_compared(found)}; {_ruled(found)} by rule; seed {found.plan.seed}"]
    if found.is_converted and not found.plan.checkpoint.is_safetensors:
        lines.append("it was converted: what is outside of the root was not compared")
    if found.holds:
        where = "" if found.sample is None else ", as far as was compared"
        whose = "the rules give" if found.plan.actions or found.against is None else f"{shown(found.against)} holds"
        return [f"{path}: holds what {whose}{where}", *lines]
    rows = [
        *((shown(lost.tensor), lost.fault, "", "") for lost in found.lost),
        *map(_row, found.differences),
        *((shown(other.file), other.fault, "", "") for other in found.rest_differences),
    ]
    tensors = count(len(found.lost) + len(found.differences), "tensor") if found.lost or found.differences else ""
    files = count(len(found.rest_differences), "file") if found.rest_differences else ""
    differing = " and ".join(filter(None, (tensors, files)))
    heading = ("tensor or file" if files else "tensor", "first difference at", "expected", "found")
    verb = "differs" if len(rows) == 1 else "differ"
    return [Listing(heading, rows), "", f"{path}: {differing} {verb}", *lines]


def _compared(found: Verification) -> str:
    rest = f" and {count(found.rest, 'other byte')}" if found.rest else ""
    return f"compared {count(found.compared, 'element')}{rest}"


def _ruled(found: Verification) -> str:
    return count(len({action.tensor.name for action in found.plan.actions}), "tensor")


def _row(difference: Difference) -> tuple[str, str, str, str]:
    index = f"[{', '.join(map(str, difference.index))}]"
    return shown(difference.tensor), index, *_told_apart(difference.expected, difference.found)


def _told_apart(one: complex, other: complex) -> tuple[str, str]:
    """Two numbers in as few digits as float32 takes, or in all of them where these do not tell them apart."""
    if isinstance(one, int) and isinstance(other, int):
        return str(one), str(other)
    short = f"{one:.9g}", f"{other:.9g}"
    return short if short[0] != short[1] else (repr(one), repr(other))
