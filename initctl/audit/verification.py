"""The outcome of verifying a checkpoint, and what differs: an element, a tensor, a file."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.display.colors import BAD, GOOD
from initctl.display.folding import FOLDED_ABOVE, listing
from initctl.display.tables import Displayed, Listing, Report, Toned, count
from initctl.errors import shown

if TYPE_CHECKING:
    from initctl.planning import Plan


@dataclass(frozen=True, slots=True)
class Difference:
    """The first element of a tensor that differs, at `index`. The numbers are those that are stored."""

    tensor: str
    index: tuple[int, ...]
    expected: complex
    found: complex

    def to_json(self) -> dict[str, Any]:
        return {
            "tensor": self.tensor,
            "index": list(self.index),
            "expected": _written(self.expected),
            "found": _written(self.found),
        }


@dataclass(frozen=True, slots=True)
class FileDifference:
    """What is wrong with a `file`. If bytes differ, `at` is the offset of the first."""

    file: str
    fault: str
    at: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {"file": self.file, "fault": self.fault, "byte": self.at}


class Lost(NamedTuple):
    """A tensor that is missing from the result, is new in it, or has another shape or dtype; `fault` says which."""

    tensor: str
    fault: str


@dataclass(frozen=True, slots=True, repr=False)
class Verification(Displayed):
    """The outcome of comparing the checkpoint at `path` with `plan`. It is true if everything `holds`, so that
    `assert initctl.verify(…)` fails if anything differs.

    `compared` is the number of elements that were compared, and `differences` has the first of each tensor that
    differs. `lost` are tensors that are missing, new, or of another shape or dtype. `sample` is the largest number of
    elements that were compared of each tensor; None if all were.

    `against` is the path of the original, if it was given. Then `rest` is the number of other bytes that were compared
    with it, and `rest_differences` has the first of each file. If the checkpoint `is_converted`, these are of files
    that are copied along. If an `optimizer_differs` and the plan does not reset it, the report asks for the flag; if
    `sizes_differ`, it asks for the options about them.
    """

    path: str
    plan: Plan
    compared: int
    differences: tuple[Difference, ...]
    lost: tuple[Lost, ...] = ()
    sample: int | None = None
    against: str | None = None
    rest: int | None = None
    is_converted: bool = False
    rest_differences: tuple[FileDifference, ...] = ()
    optimizer_differs: bool = False
    sizes_differ: bool = False

    @property
    def holds(self) -> bool:
        """Whether everything that was compared is equal to what was expected."""
        return not (self.differences or self.lost or self.rest_differences)

    def __bool__(self) -> bool:
        return self.holds

    def to_json(self) -> dict[str, Any]:
        return {
            **self.plan.to_json(),
            "checkpoint": self.path,
            "against": self.against,
            "converted": self.is_converted,
            "sample": self.sample,
            "compared": self.compared,
            "compared_rest": self.rest,
            "differences": [difference.to_json() for difference in self.differences],
            "lost": [lost._asdict() for lost in self.lost],
            "differences_rest": [difference.to_json() for difference in self.rest_differences],
        }

    def report(self, *, unfold: bool = False) -> Report:
        """The first element of each tensor that differs, and what was compared. A long list is cut, unless `unfold`."""
        path = shown(self.path)
        rest = f" and {count(self.rest, 'other byte')}" if self.rest else ""
        ruled = count(len({action.tensor.name for action in self.plan.actions}), "tensor")
        lines = [f"compared {count(self.compared, 'element')}{rest}; rules fill {ruled}; seed {self.plan.seed}"]
        if self.optimizer_differs and self.plan.buffers is None:
            lines.append("an optimizer differs: add --reset-optimizer if apply had it")
        if self.sizes_differ:
            lines.append("sizes differ: give the --rows and --dims that apply had")
        if self.is_converted and not self.plan.checkpoint.is_safetensors:
            lines.append("it was converted: everything outside the root was not compared")
        whose = "the rules give" if self.plan.actions or self.against is None else f"{shown(self.against)} holds"
        if self.holds:
            how_far = "" if self.sample is None else ", as far as compared"
            return [Toned(f"{path}: holds what {whose}{how_far}", GOOD), *lines]
        rows = [
            *((name, fault, "", "") for name, fault in listing(self.lost, unfold=unfold)),
            *map(_row, self.differences),
            *((shown(other.file), other.fault, "", "") for other in self.rest_differences),
        ]
        tensors = count(len(self.lost) + len(self.differences), "tensor") if self.lost or self.differences else ""
        files = count(len(self.rest_differences), "file") if self.rest_differences else ""
        differing = " and ".join(filter(None, (tensors, files)))
        heading = ("tensor or file" if files else "tensor", "first difference at", "expected", "found")
        verb = "differs" if len(self.lost) + len(self.differences) + len(self.rest_differences) == 1 else "differ"
        listed = rows if unfold else rows[:FOLDED_ABOVE]
        more = [f"and {len(rows) - len(listed):,} more; --all lists them"] if len(listed) < len(rows) else []
        verdict = Toned(f"{path}: {differing} {verb} from what {whose}", BAD)
        return [Listing(heading, listed), *more, "", verdict, *lines]


def _row(difference: Difference) -> tuple[str, str, str, str]:
    index = f"[{', '.join(map(str, difference.index))}]"
    return shown(difference.tensor), index, *_told_apart(difference.expected, difference.found)


def _told_apart(one: complex, other: complex) -> tuple[str, str]:
    """Two numbers with as many digits as float32 needs, or with all digits if they would look equal."""
    if isinstance(one, int) and isinstance(other, int):
        return str(one), str(other)
    short = f"{one:.9g}", f"{other:.9g}"
    return short if short[0] != short[1] else (repr(one), repr(other))


def _written(number: complex) -> float | str:
    """A number as JSON can hold it."""
    return number if isinstance(number, (int, float)) and isfinite(number) else str(number)
