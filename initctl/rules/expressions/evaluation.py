"""A tree's value. Numbers are finite, and whole ones stay whole while they are small."""

from __future__ import annotations

import math
import operator
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

from initctl.errors import shown
from initctl.rules.expressions.terms import FIRST, WORDS, Compared, Identifier, Literal, Operation, Subscript

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from initctl.rules.expressions.terms import Tree, Value

_EXACT = 2**64
"""From here on no whole number is needed exactly, and it goes on as a float."""


class Undefined(Exception):  # noqa: N818 - a fact that planning turns into an error with rule and tensor
    """An expression has no value: the message says why, `excerpt` where."""

    def __init__(self, message: str, term: Tree) -> None:
        super().__init__(message)
        self.excerpt = term.place


def evaluated(tree: Tree, lookup: Callable[[str], Value]) -> Value:
    match tree:
        case Literal(value=value):
            return value
        case Identifier(name=name):
            try:
                return _finite(lookup(name), tree)
            except KeyError as reason:
                raise Undefined(str(reason.args[0]), tree) from None
        case Subscript(of=of, at=at):
            return _item(tree, evaluated(of, lookup), evaluated(at, lookup))
        case Operation(function=function, operands=operands) if function == FIRST:
            return _first(operands, lookup)
        case Operation(function=word, operands=operands) if word in WORDS:
            truths = (_truth(part, lookup) for part in operands)
            return not next(truths) if word == "not" else (all if word == "and" else any)(truths)
        case Operation(function=function, operands=operands):
            return _applied(tree, function, [_number(part, lookup) for part in operands])
        case Compared(operands=operands, signs=signs):
            pairs = pairwise([evaluated(part, lookup) for part in operands])
            return all(_holds(tree, sign, *pair) for sign, pair in zip(signs, pairs, strict=True))


def _first(operands: Sequence[Tree], lookup: Callable[[str], Value]) -> int | float:
    """The value of the first of `operands` that has one. Raises the first's `Undefined` if none has."""
    undefined: list[Undefined] = []
    for operand in operands:
        try:
            return _number(operand, lookup)
        except Undefined as fact:
            undefined.append(fact)
    raise undefined[0]


def _item(tree: Subscript, of: Value, index: Value) -> Value:
    if not isinstance(of, tuple):
        raise Undefined(f"{tree.of.name} is not a list", tree.of)
    if type(index) is not int:
        raise Undefined(f"{index} is not a whole number", tree.at)
    if not -len(of) <= index < len(of):
        raise Undefined(f"{tree.of.name} has {len(of)} numbers, and none at {index}", tree)
    return _finite(of[index], tree)


def _finite(value: Value, tree: Tree) -> Value:
    """`value`, which was looked up; a number must be in the range of those that are computed."""
    if isinstance(value, (bool, str, tuple)):
        return value
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Undefined("is no finite number, or too large", tree)
    return number if abs(number) >= _EXACT else value


def _number(tree: Tree, lookup: Callable[[str], Value]) -> int | float:
    return _checked_number(evaluated(tree, lookup), tree)


def _checked_number(value: Value, tree: Tree) -> int | float:
    if isinstance(value, (str, bool, tuple)):
        raise Undefined(f"{_described(value)} is not a number", tree)
    return value


def _truth(tree: Tree, lookup: Callable[[str], Value]) -> bool:
    value = evaluated(tree, lookup)
    if not isinstance(value, bool):
        raise Undefined(f"{_described(value)} is neither true nor false", tree)
    return value


def _holds(tree: Compared, sign: str, one: Value, other: Value) -> bool:
    if sign not in ("==", "!="):
        one, other = _checked_number(one, tree), _checked_number(other, tree)
    return bool(_OPERATIONS[sign](one, other))


def _described(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else shown(value)


def _applied(tree: Operation, function: str, numbers: list[int | float]) -> int | float:
    try:
        result = _operation(function, len(numbers))(*numbers)
    except ZeroDivisionError:
        raise Undefined("a number is divided by 0", tree) from None
    except (ValueError, OverflowError):
        result = math.inf
    if isinstance(result, complex) or abs(result) > sys.float_info.max or result != result:
        written = f"{function} of {', '.join(f'{number:.6g}' for number in numbers)}"
        raise Undefined(f"{written} is not defined, or too large", tree)
    return float(result) if abs(result) >= _EXACT else result


def _operation(function: str, count: int) -> Callable[..., int | float]:
    return operator.neg if function == "-" and count == 1 else _OPERATIONS[function]


def _power(base: float, exponent: float) -> int | float:
    """Whole numbers stay whole while they are small: Python would compute any of them exactly, however large."""
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
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
