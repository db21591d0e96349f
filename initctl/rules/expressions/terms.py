"""What an expression is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.excerpt import Excerpt

Value = int | float | str | bool | tuple["Value", ...]
"""What a part of an expression can come to; a tuple is a shape, or a list of config.json."""


FIRST = "first"
"""The function whose value is that of its first operand that has one."""
FUNCTIONS = ("sqrt", "log", "exp", "abs", "min", "max", FIRST)
OF_SEVERAL = ("min", "max", FIRST)
CONSTANTS: dict[str, float | bool] = {"pi": math.pi, "true": True, "false": False}
WORDS = ("and", "or", "not")
NOT_FINITE = ("nan", "inf", "infinity")
OF_TENSORS = frozenset(("fan_in", "fan_out", "numel", "ndim", "shape", "dtype", "layer", "layers", "config", "sibling"))
RESERVED = OF_TENSORS | {*CONSTANTS, *WORDS, *FUNCTIONS, *NOT_FINITE}
"""What no variable and no capture can be called."""
CONFIG = "config."
"""What the name of a value of config.json begins with; its dotted key follows."""


@dataclass(frozen=True, slots=True)
class Term:
    """A part of an expression, and where it is written."""

    place: Excerpt = field(compare=False)


@dataclass(frozen=True, slots=True)
class Constant(Term):
    value: int | float | str | bool


@dataclass(frozen=True, slots=True)
class Identifier(Term):
    name: str


@dataclass(frozen=True, slots=True)
class Subscript(Term):
    """`of[index]`."""

    of: Identifier
    index: Tree


@dataclass(frozen=True, slots=True)
class Operation(Term):
    """A function or an operator on its operands."""

    function: str
    operands: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Compared(Term):
    """Operands, each compared with the next."""

    operands: tuple[Tree, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Combined(Term):
    """`and`, `or` or `not` of conditions."""

    word: str
    operands: tuple[Tree, ...]


Tree = Constant | Identifier | Subscript | Operation | Compared | Combined


def identifiers(tree: Tree) -> Iterator[Identifier]:
    """All names in `tree`, each as often as it is used."""
    waiting: list[Tree] = [tree]
    while waiting:
        match waiting.pop():
            case Identifier() as name:
                yield name
            case Subscript(of=of, index=index):
                waiting += (of, index)
            case Operation(operands=operands) | Compared(operands=operands) | Combined(operands=operands):
                waiting += operands
