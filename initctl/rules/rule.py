"""`selector=call`: which tensors, and what to fill them with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from initctl.errors import Excerpt, Problem, RuleError, shown
from initctl.rules.call import Call, parse_call
from initctl.rules.selector import Selector, parse_selector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from initctl.rules.expressions import Expression, Value


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

    It takes only tensors `where` that holds. One that is `optional` may decide nothing.
    """

    text: str
    source: str
    selector: Selector
    call: Call
    where: Expression | None = None
    optional: bool = False
    scope: Scope = field(default_factory=Scope)

    def __str__(self) -> str:
        return f"{self.source} ({shown(self.text)})"


def parse_rule(text: str, source: str, scope: Scope | None = None) -> Rule:
    """The rule that `text` writes; `source` says where it stands, for messages. Raises `RuleError`."""
    try:
        equals = _equals(text)
        selector, start = _stripped(text, 0, equals)
        call, call_start = _stripped(text, equals + 1, len(text))
        try:
            selected = parse_selector(selector).inside(text, start)
        except RuleError as error:
            raise error.inside(text, start) from None
        try:
            parsed = parse_call(call).moved(text, call_start)
        except RuleError as error:
            raise error.inside(text, call_start) from None
        return Rule(text, source, selected, parsed, scope=scope or Scope())
    except RuleError as error:
        raise error.prefixed(f"{source} ({shown(text)}): ") from None


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


def _stripped(text: str, start: int, stop: int) -> tuple[str, int]:
    """What stands between `start` and `stop` without the blanks around it, and where it begins."""
    part = text[start:stop]
    return part.strip(), start + len(part) - len(part.lstrip())


def _error(message: str, hint: str, place: Excerpt) -> RuleError:
    return RuleError(Problem("rule.syntax", message, hint, place))
