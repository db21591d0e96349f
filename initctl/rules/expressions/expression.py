"""An expression: its text, its tree, and its value where somebody tells what its names stand for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from initctl.errors import Excerpt
from initctl.rules.expressions.evaluation import evaluated
from initctl.rules.expressions.parser import parse_tree
from initctl.rules.expressions.tree import Name, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from initctl.rules.expressions.tree import Tree, Value


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression as it is written, and its tree; from `offset` on it may stand in another text, its `context`."""

    text: str
    tree: Tree
    context: str | None = field(default=None, compare=False, repr=False)
    offset: int = field(default=0, compare=False, repr=False)

    @property
    def names(self) -> frozenset[str]:
        """The names that it uses."""
        return frozenset(part.name for part in parts(self.tree) if isinstance(part, Name))

    def value(self, lookup: Callable[[str], Value]) -> Value:
        """What it comes to where `lookup` tells what a name stands for, or raises `KeyError` with the reason.

        Raises `Undefined`. Numbers are finite.
        """
        return evaluated(self.tree, lookup)

    def excerpt(self, start: int, stop: int) -> Excerpt:
        """Characters `start` to `stop` of it, in the text that it stands in."""
        excerpt = Excerpt(self.text, start, stop)
        return excerpt if self.context is None else excerpt.moved(self.context, self.offset)

    def inside(self, text: str, offset: int) -> Expression:
        """The same expression as a part of `text`, from `offset` on."""
        return replace(self, context=text, offset=offset)

    def renamed(self, names: Mapping[str, str]) -> str:
        """Its text with these `names` in place of its own."""
        text = self.text
        uses = [part for part in parts(self.tree) if isinstance(part, Name) and part.name in names]
        for use in sorted(uses, key=lambda use: use.start, reverse=True):
            text = text[: use.start] + names[use.name] + text[use.stop :]
        return text

    def place_of(self, name: str) -> Excerpt:
        """Where it uses `name`, which is one of `names`, first."""
        start, stop = min((p.start, p.stop) for p in parts(self.tree) if isinstance(p, Name) and p.name == name)
        return self.excerpt(start, stop)


def parse_expression(text: str) -> Expression:
    """The expression that `text` writes, which stands for a value. Raises `RuleError`."""
    return Expression(text, parse_tree(text, conditions=False))


def parse_condition(text: str) -> Expression:
    """The expression that `text` writes, which stands for true or false. Raises `RuleError`."""
    return Expression(text, parse_tree(text, conditions=True))
