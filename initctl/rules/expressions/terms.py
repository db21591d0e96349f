"""What an expression is made of: terms, each with the place where it is written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

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


class Literal(NamedTuple):
    place: Excerpt
    value: int | float | str | bool


class Identifier(NamedTuple):
    place: Excerpt
    name: str


class Subscript(NamedTuple):
    """`of[at]`."""

    place: Excerpt
    of: Identifier
    at: Tree


class Operation(NamedTuple):
    """A function, an operator, or one of `WORDS`, on its operands."""

    place: Excerpt
    function: str
    operands: tuple[Tree, ...]


class Compared(NamedTuple):
    """Operands, each compared with the next."""

    place: Excerpt
    operands: tuple[Tree, ...]
    signs: tuple[str, ...]


Tree = Literal | Identifier | Subscript | Operation | Compared


def identifiers(tree: Tree) -> Iterator[Identifier]:
    """All names in `tree`, each as often as it is used."""
    waiting: list[Tree] = [tree]
    while waiting:
        match waiting.pop():
            case Identifier() as name:
                yield name
            case Subscript(of=of, at=at):
                waiting += (of, at)
            case Operation(operands=operands) | Compared(operands=operands):
                waiting += operands
