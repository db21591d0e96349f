"""New sizes for the tensors that a pattern matches: a number of rows, the next multiple of a number, or all dims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initctl.errors import Excerpt, Problem, RuleError, shown
from initctl.integers import as_integer
from initctl.rules import Glob, Origin, parse_selector
from initctl.tensors import LARGEST_SIZE

if TYPE_CHECKING:
    from initctl.rules.regex import Regex
    from initctl.tensors import Shape

ROWS, DIMS = "rows", "dims"
"""The options, and the tables of a recipe."""
_CODES = {ROWS: "usage.rows", DIMS: "usage.dims"}
_PAD = "pad:"
_WRITE = {ROWS: "write PATTERN=5, or PATTERN=pad:64 for the next multiple of 64", DIMS: "write NAME=5,768"}


@dataclass(frozen=True, slots=True)
class Padded:
    """The smallest multiple of a number that is not smaller than the number of rows."""

    multiple: int

    def __str__(self) -> str:
        return f"{_PAD}{self.multiple}"


Size = int | Padded | tuple[int, ...]
"""A number of rows, a multiple, or a whole shape."""


@dataclass(frozen=True, slots=True)
class Resize:
    """A new `size` for the tensors whose names match. If it is `optional`, no tensor has to."""

    text: str
    origin: Origin
    names: Glob | Regex
    size: Size
    optional: bool = False

    @property
    def keeps_rows(self) -> bool:
        """Whether rows that stay keep their values: other dims keep none."""
        return not isinstance(self.size, tuple)

    def shape_for(self, shape: Shape) -> Shape:
        """The new shape of a tensor of `shape`, which has rows."""
        if isinstance(self.size, tuple):
            return self.size
        rows = self.size if isinstance(self.size, int) else -(-shape[0] // self.size.multiple) * self.size.multiple
        return (rows, *shape[1:])

    def changes(self, shape: Shape) -> bool:
        """Whether it changes a tensor of `shape`. Dims always do: they take its values away."""
        return not self.keeps_rows or (bool(shape) and self.shape_for(shape) != shape)

    @property
    def called(self) -> str:
        """Its name in messages, with its place."""
        place = self.origin.place
        name = self.origin.name if place and place.file == self.origin.recipe else str(self.origin)
        return f"{place}: {name} ({shown(self.text)})" if place else f"{name} ({shown(self.text)})"

    def problem(self, code: str, fault: str, hint: str | None = None) -> Problem:
        """The problem with this `fault`, at its place."""
        return Problem(code, f"{self.called}: {fault}", hint, None, self.origin.place)


def parse_resize(kind: str, pattern: str | Excerpt, size: object, origin: Origin, *, optional: bool = False) -> Resize:
    """What a `kind` of option asks for the tensors that `pattern` matches. Raises `RuleError`."""
    selector = parse_selector(pattern)
    found = _shape(size) if kind == DIMS else _rows(size)
    if selector.rows:
        fault = f"{kind}: {shown(str(pattern))} selects rows, but the number is of all rows of a tensor"
        raise RuleError(Problem(_CODES[kind], fault, "leave out the brackets"))
    if found is None:
        fault = f"{kind}: {shown(str(pattern))}: {shown(_written(size))} is not {_meant(kind)}"
        raise RuleError(Problem(_CODES[kind], fault, _WRITE[kind]))
    return Resize(f"{pattern}={_written(size)}", origin, selector.names, found, optional)


def pattern_and_size(kind: str, text: str) -> tuple[str, str]:
    """The two parts of `PATTERN=SIZE`. Raises `RuleError`."""
    pattern, equals, size = text.rpartition("=")
    if not equals or not pattern:
        raise RuleError(Problem(_CODES[kind], f"{kind}: {shown(text)} is not PATTERN=SIZE", _WRITE[kind]))
    return pattern, size


def _meant(kind: str) -> str:
    return "a list of numbers of 1 or more" if kind == DIMS else "a number of 1 or more"


def _written(size: object) -> str:
    """The size as in an option."""
    return ",".join(map(str, size)) if isinstance(size, (list, tuple)) else str(size)


def _rows(size: object) -> int | Padded | None:
    """The number of rows, or the multiple; None if it is neither."""
    if isinstance(size, str) and size.startswith(_PAD):
        multiple = _number(size.removeprefix(_PAD))
        return Padded(multiple) if multiple else None
    return _number(size)


def _shape(size: object) -> Shape | None:
    parts = size.split(",") if isinstance(size, str) else size if isinstance(size, Sequence) else [size]
    numbers = [_number(part) for part in parts]
    return tuple(number for number in numbers if number) if numbers and all(numbers) else None


def _number(given: object) -> int | None:
    """A number of 1 or more; None if it is something else."""
    text = given.strip() if isinstance(given, str) else ""
    is_decimal = text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST_SIZE))
    number = int(text) if is_decimal else as_integer(given)
    return number if number is not None and 0 < number < LARGEST_SIZE else None
