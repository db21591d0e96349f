"""A tree's text, with some of its names replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.rules.expressions.tree import FUNCTIONS, Applied, Combined, Compared, Item, Literal, Name

if TYPE_CHECKING:
    from collections.abc import Callable

    from initctl.rules.expressions.tree import Tree, Value

_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(9)
"""What binds closer is higher."""
_OPERATORS = {
    "+": (_SUM, _SUM, _PRODUCT),
    "-": (_SUM, _SUM, _PRODUCT),
    "*": (_PRODUCT, _PRODUCT, _SIGN),
    "/": (_PRODUCT, _PRODUCT, _SIGN),
    "**": (_POWER, _ATOM, _SIGN),
}
"""How close each binds, and how close its operands on the left and on the right must at least."""
_WORDS = {"or": (_OR, _AND), "and": (_AND, _NOT), "not": (_NOT, _NOT)}


def substituted(tree: Tree, of: Callable[[str], Tree | None]) -> Tree:
    """`tree` with each name replaced by what it stands `of`, where that is something."""
    match tree:
        case Name(name=name):
            return of(name) or tree
        case Item(start, stop, named, index):
            found = of(named.name)
            return Item(start, stop, found if isinstance(found, Name) else named, substituted(index, of))
        case Applied(start, stop, function, operands):
            return Applied(start, stop, function, tuple(substituted(part, of) for part in operands))
        case Compared(start, stop, operands, signs):
            return Compared(start, stop, tuple(substituted(part, of) for part in operands), signs)
        case Combined(start, stop, word, operands):
            return Combined(start, stop, word, tuple(substituted(part, of) for part in operands))
    return tree


def written(tree: Tree, least: int = _OR) -> str:
    """The text of `tree`: in parentheses only where it binds less than the `least` that its place takes."""
    match tree:
        case Literal(value=value):
            text = _literal(value)
            own = _SIGN if text.startswith("-") else _ATOM
        case Name(name=name):
            text, own = name, _ATOM
        case Item(of=of, index=index):
            text, own = f"{of.name}[{written(index, _SUM)}]", _ATOM
        case Applied(function=function, operands=operands):
            text, own = _applied(function, operands)
        case Compared(operands=operands, signs=signs):
            first, *others = (written(operand, _SUM) for operand in operands)
            text = " ".join((first, *(f"{sign} {other}" for sign, other in zip(signs, others, strict=True))))
            own = _COMPARISON
        case Combined(word=word, operands=operands):
            own, inner = _WORDS[word]
            texts = [written(operand, inner) for operand in operands]
            text = f"not {texts[0]}" if word == "not" else f" {word} ".join(texts)
    return text if own >= least else f"({text})"


def _literal(value: Value) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}'" if '"' in value else f'"{value}"'
    return repr(value)


def _applied(function: str, operands: tuple[Tree, ...]) -> tuple[str, int]:
    if function in FUNCTIONS:
        return f"{function}({', '.join(written(operand, _SUM) for operand in operands)})", _ATOM
    if len(operands) == 1:
        return function + written(operands[0], _SIGN), _SIGN
    own, left, right = _OPERATORS[function]
    return f"{written(operands[0], left)} {function} {written(operands[1], right)}", own
