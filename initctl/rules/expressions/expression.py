"""An expression: its text, its tree, and its value once it is known what its names stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Excerpt
from initctl.rules.expressions.evaluation import evaluated
from initctl.rules.expressions.parser import parse_tree
from initctl.rules.expressions.terms import identifiers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from initctl.rules.expressions.terms import Tree, Value


class Expression(NamedTuple):
    """An expression: where it is written, and its tree."""

    source: Excerpt
    tree: Tree

    @property
    def text(self) -> str:
        """As it is written."""
        return str(self.source)

    @property
    def names(self) -> frozenset[str]:
        """The names that it uses."""
        return frozenset(use.name for use in identifiers(self.tree))

    def value(self, lookup: Callable[[str], Value]) -> Value:
        """Its value, if `lookup` returns what a name stands for, or raises `KeyError` with the reason.

        Raises `Undefined`. Numbers are finite.
        """
        return evaluated(self.tree, lookup)

    def renamed(self, names: Mapping[str, str]) -> str:
        """Its text with these `names` in place of its own."""
        text = self.text
        for use in sorted(identifiers(self.tree), key=lambda use: use.place.start, reverse=True):
            start, stop = use.place.start - self.source.start, use.place.stop - self.source.start
            text = text[:start] + names.get(use.name, use.name) + text[stop:]
        return text

    def place_of(self, name: str) -> Excerpt:
        """Where it uses `name`, which is one of `names`, first."""
        return min((use.place for use in identifiers(self.tree) if use.name == name), key=lambda place: place.start)


def parse_expression(text: str | Excerpt) -> Expression:
    """The expression that `text` writes, which stands for a value. Raises `RuleError`."""
    return _parsed(text, conditions=False)


def parse_condition(text: str | Excerpt) -> Expression:
    """The expression that `text` writes, which stands for true or false. Raises `RuleError`."""
    return _parsed(text, conditions=True)


def _parsed(text: str | Excerpt, *, conditions: bool) -> Expression:
    source = Excerpt.of(text)
    return Expression(source, parse_tree(source, conditions=conditions))
