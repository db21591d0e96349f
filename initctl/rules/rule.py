"""`selector=call where condition`: which tensors, and what to fill them with. The condition may be left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from initctl.errors import Excerpt, Problem, RuleError, shown
from initctl.rules.call import Call, parse_call
from initctl.rules.expressions import parse_condition
from initctl.rules.selector import Selector, parse_selector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from initctl.rules.expressions import Expression, Value


_WHERE = re.compile(r"\swhere(?=\s|$)")
"""What separates an initializer from a condition. No expression holds the word; a text that does needs a recipe."""


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """What names in a rule's expressions stand for, beside those that every rule knows.

    `vars` are expressions by name; `config` is what config.json is taken to say where it is silent, by dotted keys.
    """

    vars: Mapping[str, Expression] = field(default_factory=dict)
    config: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its text, where it was given (`rule 2`), and what the text says.

    It takes only tensors `where` that holds. One that is `optional` may decide nothing. `place` is what messages say
    instead of `source` if it is known more exactly: a line of a recipe.
    """

    text: str
    source: str
    selector: Selector
    call: Call
    where: Expression | None = None
    optional: bool = False
    scope: Scope = field(default_factory=Scope)
    place: str | None = None

    @property
    def is_of_recipe(self) -> bool:
        """Whether it is a table of a recipe, and not one line."""
        return not self.call.places

    def __str__(self) -> str:
        return f"{self.place or self.source} ({shown(self.text)})"


def parse_rule(text: str, source: str, scope: Scope | None = None) -> Rule:
    """The rule that `text` writes; `source` says where it stands, for messages. Raises `RuleError`."""
    try:
        equals = _equals(text)
        where = _WHERE.search(text, equals + 1)
        end = where.start() if where else len(text)
        selector = _parsed(parse_selector, text, 0, equals)
        call = _parsed(parse_call, text, equals + 1, end)
        condition = _parsed(parse_condition, text, where.end(), len(text)) if where else None
    except RuleError as error:
        raise error.prefixed(f"{source} ({shown(text)}): ") from None
    return Rule(text, source, selector, call, condition, scope=scope or Scope())


class _Part(Protocol):
    def inside(self, text: str, offset: int) -> Self:
        """The same as a part of `text`, from `offset` on."""


_Parsed = TypeVar("_Parsed", bound=_Part)


def _parsed(parse: Callable[[str], _Parsed], text: str, start: int, stop: int) -> _Parsed:
    """What `parse` reads between `start` and `stop`, without the blanks around it. Raises `RuleError`."""
    part = text[start:stop]
    start += len(part) - len(part.lstrip())
    try:
        return parse(part.strip()).inside(text, start)
    except RuleError as error:
        raise error.inside(text, start) from None


def _equals(text: str) -> int:
    """The first `=` that is neither quoted nor inside brackets: selector and call stand around it."""
    at, opened = 0, -1
    while at < len(text):
        match text[at]:
            case "\\":
                at += 1
            case "[" if opened < 0:
                opened = at
            case "]":
                opened = -1
            case "=" if opened < 0:
                return at
        at += 1
    if opened >= 0 and "=" in text:
        hint = r"write \[ for the character itself"
        raise _error("a bracket is not closed", hint, Excerpt(text, opened, opened + 1))
    hint = "write PATTERN=INITIALIZER, for instance '*.bias=zeros'"
    raise _error("no '=' between pattern and initializer", hint, Excerpt(text, len(text), len(text) + 1))


def _error(message: str, hint: str, place: Excerpt) -> RuleError:
    return RuleError(Problem("rule.syntax", message, hint, place))
