"""The terms of an expression, each with its place in the text, and its value.

Numbers are finite, and whole numbers stay whole while they are small.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import shown

if TYPE_CHECKING:
    from initctl.excerpt import Excerpt

Value = int | float | str | bool | tuple["Value", ...]
"""The value of a term; a tuple is a shape, or a list of config.json."""
ValueOf = Callable[[str], Value]
"""Returns the value of a name. Raises `KeyError` if it has none: with the reason, and, if one is known, with a
condition that holds for every tensor for which it has one.
"""

FIRST = "first"
"""The function that returns its first operand with a value."""
LERP = "lerp"
"""The function that goes from its first operand to its second while its third goes from 0 to 1."""
FUNCTIONS = {"sqrt": 1, "log": 1, "exp": 1, "abs": 1, "min": None, "max": None, LERP: 3, FIRST: None}
"""The functions, and how many operands each takes; None means one or more."""
LAYER, LAYERS = "layer", "layers"
CONSTANTS: dict[str, float | bool] = {"pi": math.pi, "true": True, "false": False}
WORDS = ("and", "or", "not")
NOT_FINITE = ("nan", "inf", "infinity")
CONFIG, BASE = CONFIGS = "config", "base"
"""`config.KEY` is a value of the model's config.json, and `base.KEY` of a base model's; keys may be dotted."""
OF_TENSORS = frozenset(("fan_in", "fan_out", "numel", "ndim", "shape", "dtype", LAYER, LAYERS, CONFIG, "sibling"))
RESERVED = OF_TENSORS | {*CONSTANTS, *WORDS, *FUNCTIONS, *NOT_FINITE}
"""Names that a variable or a capture cannot have. `base` is free: recipes have variables of this name."""
_EXACT = 2**64
"""Larger whole numbers become floats: no rule needs them exactly."""


class Undefined(Exception):  # noqa: N818 - a fact that planning turns into an error with rule and tensor
    """An expression has no value: the message says why, `excerpt` shows where. `needs` is a condition, if one is known,
    that holds for every tensor for which it has one.
    """

    def __init__(self, message: str, term: Tree, needs: str | None = None) -> None:
        super().__init__(message)
        self.excerpt = term.place
        self.needs = needs


class Literal(NamedTuple):
    place: Excerpt
    constant: int | float | str | bool

    def value(self, _: ValueOf) -> Value:
        return self.constant


class Identifier(NamedTuple):
    place: Excerpt
    name: str

    def value(self, lookup: ValueOf) -> Value:
        try:
            return _finite(lookup(self.name), self)
        except KeyError as error:
            reason, *needs = error.args
            raise Undefined(str(reason), self, *needs) from None


class Subscript(NamedTuple):
    """`of[at]`."""

    place: Excerpt
    of: Identifier
    at: Tree

    def value(self, lookup: ValueOf) -> Value:
        of, index = self.of.value(lookup), self.at.value(lookup)
        if not isinstance(of, tuple):
            raise Undefined(f"{self.of.name} is not a list", self.of)
        if type(index) is not int:
            raise Undefined(f"{index} is not a whole number", self.at)
        if not -len(of) <= index < len(of):
            raise Undefined(f"index {index} is out of range: {self.of.name} has length {len(of)}", self)
        return _finite(of[index], self)


class Operation(NamedTuple):
    """A function, an operator, or one of `WORDS`, on its operands."""

    place: Excerpt
    function: str
    operands: tuple[Tree, ...]

    def value(self, lookup: ValueOf) -> Value:
        if self.function == FIRST:
            return _first(self.operands, lookup)
        if self.function in WORDS:
            truths = (_truth(part, lookup) for part in self.operands)
            return not next(truths) if self.function == "not" else (all if self.function == "and" else any)(truths)
        numbers = [_number(part, lookup) for part in self.operands]
        if self.function == LERP and not 0 <= numbers[2] <= 1:
            raise Undefined(f"t is {numbers[2]} here, but lerp(a, b, t) takes t from 0 to 1", self.operands[2])
        return _applied(self, numbers)


class Compared(NamedTuple):
    """Operands, each compared with the next."""

    place: Excerpt
    operands: tuple[Tree, ...]
    signs: tuple[str, ...]

    def value(self, lookup: ValueOf) -> Value:
        pairs = pairwise([part.value(lookup) for part in self.operands])
        return all(_holds(self, sign, *pair) for sign, pair in zip(self.signs, pairs, strict=True))


Tree = Literal | Identifier | Subscript | Operation | Compared


def config_of(name: str) -> str | None:
    """Which of `CONFIGS` has the value of `name`; None if it is another name."""
    table, dot, _ = name.partition(".")
    return table if dot and table in CONFIGS else None


def identifiers(tree: Tree) -> Iterator[Identifier]:
    """All names in `tree`, once for each use."""
    return (term for term in terms(tree) if isinstance(term, Identifier))


def terms(tree: Tree) -> Iterator[Tree]:
    """`tree` and all terms inside it."""
    waiting = [tree]
    while waiting:
        yield (term := waiting.pop())
        match term:
            case Subscript(of=of, at=at):
                waiting += (of, at)
            case Operation(operands=operands) | Compared(operands=operands):
                waiting += operands


def equated(tree: Tree) -> Iterator[tuple[Tree, Tree]]:
    """The terms in `tree` that are compared by == or !=: each with the other, and the other with it."""
    for term in terms(tree):
        if isinstance(term, Compared):
            for (one, other), sign in zip(pairwise(term.operands), term.signs, strict=True):
                if sign in ("==", "!="):
                    yield one, other
                    yield other, one


def _first(operands: Sequence[Tree], lookup: ValueOf) -> int | float:
    """The first value of `operands`. Raises the first one's `Undefined` if none has a value."""
    undefined: list[Undefined] = []
    for operand in operands:
        try:
            return _number(operand, lookup)
        except Undefined as fact:
            undefined.append(fact)
    raise undefined[0]


def _finite(value: Value, tree: Tree) -> Value:
    """`value`, which was looked up; a number must be finite and in the range of float64."""
    if isinstance(value, (bool, str, tuple)):
        return value
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Undefined("is not a finite number, or too large", tree)
    return number if abs(number) >= _EXACT else value


def _number(tree: Tree, lookup: ValueOf) -> int | float:
    return _checked_number(tree.value(lookup), tree)


def _checked_number(value: Value, tree: Tree) -> int | float:
    if isinstance(value, (str, bool, tuple)):
        raise Undefined(f"{_described(value)} is not a number", tree)
    return value


def _truth(tree: Tree, lookup: ValueOf) -> bool:
    value = tree.value(lookup)
    if not isinstance(value, bool):
        raise Undefined(f"{_described(value)} is not true or false", tree)
    return value


def _holds(tree: Compared, sign: str, one: Value, other: Value) -> bool:
    if sign not in ("==", "!="):
        one, other = _checked_number(one, tree), _checked_number(other, tree)
    return bool(_OPERATIONS[sign](one, other))


def _described(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else shown(value)


def _applied(tree: Operation, numbers: list[int | float]) -> int | float:
    is_sign = tree.function == "-" and len(numbers) == 1
    try:
        result = -numbers[0] if is_sign else _OPERATIONS[tree.function](*numbers)
    except ZeroDivisionError:
        raise Undefined(f"division by 0{_zero(tree.operands[tree.function == '/'])}", tree) from None
    except (ValueError, OverflowError):
        result = math.inf
    if isinstance(result, complex) or abs(result) > sys.float_info.max or result != result:
        written = f"{tree.function} of {', '.join(f'{number:.6g}' for number in numbers)}"
        raise Undefined(f"{written} is undefined or too large", tree)
    return float(result) if abs(result) >= _EXACT else result


def _zero(divisor: Tree) -> str:
    """Which name makes `divisor` 0, and what to write instead, if it is a name, or a name minus a number."""
    match divisor:
        case Identifier(name=name):
            return f": {name} is 0 here" + ("; layers count from 0: write layer+1" if name == LAYER else "")
        case Operation(function="-", operands=(Identifier(name=name), Literal(constant=number))):
            is_count = name == LAYERS or config_of(name)
            return f": {name} is {number} here" + (f"; write max({name}-{number}, 1)" if is_count else "")
    return ""


def _lerp(a: float, b: float, t: float) -> int | float:
    """a + (b - a) · t, as `torch.lerp` computes it: exactly `a` at t = 0, and exactly `b` at t = 1."""
    return a + (b - a) * t if t < 0.5 else b - (b - a) * (1 - t)


def _power(base: float, exponent: float) -> int | float:
    """Whole numbers stay whole only while they are small: Python would compute huge ones exactly."""
    is_whole = isinstance(base, int) and isinstance(exponent, int) and exponent >= 0
    if is_whole and (int(base).bit_length() - 1) * exponent <= _EXACT.bit_length():
        return int(base**exponent)
    result: float = float(base) ** float(exponent)
    return result


_OPERATIONS: dict[str, Callable[..., int | float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": _power,
    "sqrt": math.sqrt,
    "log": math.log,
    "exp": math.exp,
    "abs": abs,
    "min": lambda *numbers: min(numbers),
    "max": lambda *numbers: max(numbers),
    LERP: _lerp,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
