"""What an expression is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

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
class Part:
    """A part of an expression, and where its text stands."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Literal(Part):
    value: int | float | str | bool


@dataclass(frozen=True, slots=True)
class Name(Part):
    name: str


@dataclass(frozen=True, slots=True)
class Item(Part):
    """`of[index]`."""

    of: Name
    index: Tree


@dataclass(frozen=True, slots=True)
class Applied(Part):
    """A function or an operator on its operands."""

    function: str
    operands: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Compared(Part):
    """Operands, each compared with the next."""

    operands: tuple[Tree, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Combined(Part):
    """`and`, `or` or `not` of conditions."""

    word: str
    operands: tuple[Tree, ...]


Tree = Literal | Name | Item | Applied | Compared | Combined


def parts(tree: Tree) -> Iterator[Tree]:
    """`tree` and all that it is made of."""
    waiting: list[Tree] = [tree]
    while waiting:
        part = waiting.pop()
        yield part
        match part:
            case Item(of=of, index=index):
                waiting += (of, index)
            case Applied(operands=operands) | Compared(operands=operands) | Combined(operands=operands):
                waiting += operands
