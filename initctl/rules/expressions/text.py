"""A tree's text, with some of its names replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.rules.expressions.tree import FUNCTIONS, Applied, Combined, Compared, Item, Literal, Name

if TYPE_CHECKING:
    from collections.abc import Callable

    from initctl.rules.expressions.tree import Tree, Value


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


def written(tree: Tree) -> str:
    """The text of `tree`: what is inside something else stands in parentheses where it could be read otherwise."""
    match tree:
        case Literal(value=value):
            return _literal(value)
        case Name(name=name):
            return name
        case Item(of=of, index=index):
            return f"{of.name}[{written(index)}]"
        case Applied(function=function, operands=operands):
            return _applied(function, operands)
        case Compared(operands=operands, signs=signs):
            first, *others = map(_enclosed, operands)
            return " ".join((first, *(f"{sign} {other}" for sign, other in zip(signs, others, strict=True))))
        case Combined(word=word, operands=operands):
            texts = list(map(_enclosed, operands))
            return f"not {texts[0]}" if word == "not" else f" {word} ".join(texts)


def _literal(value: Value) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}'" if '"' in value else f'"{value}"'
    return repr(value)


def _applied(function: str, operands: tuple[Tree, ...]) -> str:
    if function in FUNCTIONS:
        return f"{function}({', '.join(map(written, operands))})"
    texts = list(map(_enclosed, operands))
    return function + texts[0] if len(texts) == 1 else f" {function} ".join(texts)


def _enclosed(tree: Tree) -> str:
    match tree:
        case Literal(value=int() | float() as number) if repr(number).startswith("-"):
            return f"({number!r})"
        case Literal() | Name() | Item():
            return written(tree)
        case Applied(function=function) if function in FUNCTIONS:
            return written(tree)
    return f"({written(tree)})"
