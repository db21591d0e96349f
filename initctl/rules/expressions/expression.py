"""An expression: its text, its tree, its value, and the variables that it needs."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

from initctl.errors import Excerpt
from initctl.rules.expressions.parser import parse_tree
from initctl.rules.expressions.terms import Tree, Value, ValueOf, identifiers


class Expression(NamedTuple):
    """An expression: its place in the text, and its tree."""

    source: Excerpt
    tree: Tree

    @property
    def text(self) -> str:
        """The expression as written."""
        return str(self.source)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(use.name for use in identifiers(self.tree))

    def value(self, lookup: ValueOf) -> Value:
        """Its value. `lookup` returns the value of a name, or raises `KeyError` with the reason.

        Raises `Undefined`. Numbers are finite.
        """
        return self.tree.value(lookup)

    def renamed(self, names: Mapping[str, str]) -> str:
        """Its text with these `names` in place of the original ones."""
        text = self.text
        for use in sorted(identifiers(self.tree), key=lambda use: use.place.start, reverse=True):
            start, stop = use.place.start - self.source.start, use.place.stop - self.source.start
            text = text[:start] + names.get(use.name, use.name) + text[stop:]
        return text

    def place_of(self, name: str) -> Excerpt:
        """Where it first uses `name`, which is one of its names."""
        return min((use.place for use in identifiers(self.tree) if use.name == name), key=lambda place: place.start)


def parse_expression(text: str | Excerpt) -> Expression:
    """The expression in `text`, whose value is a number. Raises `RuleError`."""
    source = Excerpt.of(text)
    return Expression(source, parse_tree(source, conditions=False))


def parse_condition(text: str | Excerpt) -> Expression:
    """The condition in `text`, whose value is true or false. Raises `RuleError`."""
    source = Excerpt.of(text)
    return Expression(source, parse_tree(source, conditions=True))


class Circular(Exception):  # noqa: N818 - a fact that becomes an error with rule and tensor
    """A variable refers to itself; the message shows through which others."""


def needed(name: str, variables: Mapping[str, Expression], known: Container[str] = ()) -> Iterator[str]:
    """The variables that `name` needs, then `name`: each once, after those that it needs itself, without `known`.

    Takes at most one step for each use of a variable. Raises `Circular`.
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
            raise Circular(f"variable {other} refers to itself: {' -> '.join([*under_way, other])}")
        else:
            under_way[other] = _used(other, variables, known)


def _used(name: str, variables: Mapping[str, Expression], known: Container[str]) -> Iterator[str]:
    return (used for used in sorted(variables[name].names) if used in variables and used not in known)
