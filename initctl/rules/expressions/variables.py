"""Variables that stand for expressions, which may use other variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from initctl.rules.expressions.expression import Expression


class Circular(Exception):  # noqa: N818 - a fact that becomes an error with rule and tensor
    """Variables need each other; the message shows how."""


def needed(name: str, variables: Mapping[str, Expression], known: Container[str] = ()) -> Iterator[str]:
    """The variable `name` after all that it needs, each once and after those that it needs itself; but none of `known`.

    However many they are and however they use each other, this takes no more than a step for each use. Raises
    `Circular`.
    """
    under_way = {name: _used(name, variables, known)}
    done: set[str] = set()
    while under_way:
        current, uses = next(reversed(under_way.items()))
        other = next((other for other in uses if other not in done), None)
        if other is None:
            del under_way[current]
            done.add(current)
            yield current
        elif other in under_way:
            raise Circular(" -> ".join([*under_way, other]))
        else:
            under_way[other] = _used(other, variables, known)


def _used(name: str, variables: Mapping[str, Expression], known: Container[str]) -> Iterator[str]:
    return (used for used in sorted(variables[name].names) if used in variables and used not in known)
