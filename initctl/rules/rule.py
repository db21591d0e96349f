"""`selector=call where condition`: which tensors, and what to fill them with. The condition is optional."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Excerpt, Place, Problem, RuleError, shown
from initctl.rules.call import Call, parse_call, syntax_error
from initctl.rules.expressions.expression import Expression, parse_condition
from initctl.rules.selector import Selector, parse_selector

if TYPE_CHECKING:
    from initctl.rules.expressions.terms import Value


_SELECTOR = re.compile(r"(?:\\.|\[(?:\\.|[^\]\\])*\]|[^=\[\\])*", re.DOTALL)
"""A selector: it contains `=` only if quoted or inside brackets."""
_WHERE = re.compile(r"\swhere(?=\s|$)")
"""The separator of initializer and condition. Expressions do not contain it; a string that does needs a recipe."""


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """The names that a rule's expressions may use, beside those that every rule knows.

    `vars` are expressions by name; `defaults` are the values of names such as `config.hidden_size` and
    `base.hidden_size` if the file does not have the key, or is not there.
    """

    vars: Mapping[str, Expression] = field(default_factory=dict)
    defaults: Mapping[str, Value] = field(default_factory=dict)


class Origin(NamedTuple):
    """Where a rule comes from: its `name` there (`rule 2`), and the recipe's file or the preset that contains it.

    `source` is its pattern in a recipe or a preset.
    """

    name: str
    recipe: str | None = None
    preset: str | None = None
    source: Excerpt | None = None

    @property
    def is_table(self) -> bool:
        """Whether it is a table of a recipe or of a preset, not one line."""
        return self.recipe is not None or self.preset is not None

    @property
    def place(self) -> Place | None:
        """The place of its pattern, if it is in a file."""
        return self.source and self.source.place

    @property
    def brief(self) -> str:
        """The shortest text that leads there."""
        return f"{shown(self.recipe)}:{self.place.line}" if self.recipe and self.place else str(self)

    def __str__(self) -> str:
        """Without line and column, which change with the text before them."""
        if not self.is_table:
            return self.name
        return f"{shown(self.recipe or f'preset {self.preset}')}: {self.name}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its text, where it comes from, and the parsed text.

    It applies only to tensors for which `where` holds. If it is `optional`, it may decide nothing.
    """

    text: str
    origin: Origin
    selector: Selector
    call: Call
    where: Expression | None = None
    optional: bool = False
    scope: Scope = field(default_factory=Scope)

    @property
    def source(self) -> str:
        """Its origin, as plans name it."""
        return str(self.origin)

    def problem(self, code: str, fault: str, hint: str | None = None, excerpt: Excerpt | None = None) -> Problem:
        """The problem of the rule with this `fault`, at its part `excerpt`, or else at its pattern."""
        place = excerpt.place if excerpt and excerpt.file else self.origin.place
        return Problem(code, f"{self._at(place)}: {fault}", hint, excerpt, place)

    def error(self, error: RuleError) -> RuleError:
        """`error` as an error of this rule."""
        return RuleError(*(self.problem(*problem[:4]) for problem in error.problems))

    def __str__(self) -> str:
        return self._at(self.origin.place)

    def _at(self, place: Place | None) -> str:
        """Its name in messages, with the place of the fault."""
        name = self.origin.name if place and place.file == self.origin.recipe else str(self.origin)
        return f"{place}: {name} ({shown(self.text)})" if place else f"{name} ({shown(self.text)})"


def parse_rule(text: str, name: str, scope: Scope | None = None) -> Rule:
    """The rule in `text`, called `name` in messages. Raises `RuleError`."""
    try:
        equals = _equals(text)
        where = _WHERE.search(text, equals + 1)
        end = where.start() if where else len(text)
        selector = parse_selector(Excerpt(text, 0, equals).stripped())
        call = parse_call(Excerpt(text, equals + 1, end).stripped())
        condition = parse_condition(Excerpt(text, where.end(), len(text)).stripped()) if where else None
    except RuleError as error:
        raise error.prefixed(f"{name} ({shown(text)}): ") from None
    return Rule(text, Origin(name), selector, call, condition, scope=scope or Scope())


def _equals(text: str) -> int:
    """The first `=` that is not quoted or inside brackets: it separates the selector from the call."""
    found = _SELECTOR.match(text)
    at = found.end() if found else 0
    if text.startswith("=", at):
        return at
    if text.startswith("[", at) and "=" in text:
        hint = r"write \[ for the character itself"
        raise syntax_error("a bracket is not closed", hint, Excerpt(text, at, at + 1))
    hint = "write PATTERN=INITIALIZER, for example '*.bias=zeros'"
    raise syntax_error("no '=' between pattern and initializer", hint, Excerpt(text, len(text), len(text) + 1))
