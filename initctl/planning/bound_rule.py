"""A rule whose every word has a meaning: its initializer is known, and what the names in its expressions stand for."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initctl.dtypes import BY_NAME
from initctl.errors import Problem, RuleError, listed, shown
from initctl.initializers import KEEP, REGISTRY
from initctl.initializers.fans import Arrangement, arrangement_of
from initctl.planning.lookup import OF_A_NAME, OF_A_TENSOR, OF_ANY_TENSOR, SIBLING
from initctl.rules import Circular, needed
from initctl.rules.expressions import CONFIG
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initctl.initializers import BoundCall
    from initctl.rules import Expression, Rule


@dataclass(frozen=True, slots=True)
class BoundRule:
    """A rule with its initializer and the arguments of that; without an initializer it keeps."""

    rule: Rule
    initializer: BoundCall | None

    @property
    def arrangement(self) -> Arrangement:
        """How it says that a weight lies."""
        return arrangement_of(self.initializer.values) if self.initializer else Arrangement()

    @property
    def uses_config(self) -> bool:
        """Whether it may ask for a value of config.json, if not by a variable."""
        return asks_config(self.expressions)

    @property
    def expressions(self) -> Iterator[Expression]:
        """All that it computes for a tensor."""
        if self.rule.where:
            yield self.rule.where
        if rows := self.rule.selector.rows:
            yield from rows.bounds
        if self.initializer:
            yield from self.initializer.expressions.values()

    @property
    def names(self) -> set[str]:
        """All names that it uses, and that the variables among them use."""
        variables = self.rule.scope.vars
        used: set[str] = set()
        waiting = {name for expression in self.expressions for name in expression.names}
        while waiting:
            used |= waiting
            waiting = {name for user in waiting & variables.keys() for name in variables[user].names} - used
        return used

    @property
    def asks_of_name(self) -> tuple[str, ...]:
        """The names that it uses whose meaning depends on what a tensor is called."""
        of_name = {*OF_A_NAME, *self.rule.selector.names.captures}
        return tuple(sorted(name for name in self.names if name in of_name or name.startswith(SIBLING)))


def asks_config(expressions: Iterable[Expression]) -> bool:
    """Whether one of them asks for a value of config.json."""
    return any(name.startswith(CONFIG) for expression in expressions for name in expression.names)


def bind(rule: Rule) -> BoundRule:
    """`rule` with its initializer found, its arguments checked, and every name known. Raises `RuleError`."""
    try:
        bound = BoundRule(rule, _initializer(rule))
        for expression in bound.expressions:
            _check_names(expression, rule)
    except RuleError as error:
        raise error.prefixed(f"{rule}: ") from None
    return bound


def _initializer(rule: Rule) -> BoundCall | None:
    if rule.call.name != KEEP:
        return REGISTRY.bind(rule.call)
    if rule.call.arguments:
        raise RuleError(Problem("rule.parameter", f"{KEEP} takes no parameters", None, rule.call.place))
    return None


def _check_names(expression: Expression, rule: Rule) -> None:
    """Raise `RuleError` if `expression`, or a variable that it needs, uses a name that no tensor can give a meaning
    to.
    """
    variables, captures = rule.scope.vars, rule.selector.names.captures
    _check_known(expression, rule, "")
    checked: set[str] = set()
    for used in sorted(expression.names & variables.keys() - set(captures)):
        with suppress(Circular):  # reported for a tensor, with the way there
            for name in needed(used, variables, {*captures, *checked}):
                checked.add(name)
                _check_known(variables[name], rule, f"variable {name}: ")


def _check_known(expression: Expression, rule: Rule, place: str) -> None:
    variables, captures = rule.scope.vars, rule.selector.names.captures
    for name in sorted(expression.names):
        if name in OF_A_TENSOR or name in variables or name in captures or name.startswith(CONFIG):
            continue
        if _is_of_sibling(name):
            continue
        known = (*OF_A_TENSOR, *variables, *captures)
        message = f"{place}{shown(expression.text)}: no name {shown(name)} is known"
        raise RuleError(Problem("rule.name", message, _hint(name, known), expression.place_of(name)))


def _is_of_sibling(name: str) -> bool:
    match name.split("."):
        case ["sibling", last]:
            return last not in OF_ANY_TENSOR
        case ["sibling", *_, asked]:
            return asked in OF_ANY_TENSOR
    return False


def _hint(name: str, known: tuple[str, ...]) -> str:
    if name.startswith(SIBLING):
        return f"write for instance sibling.weight.fan_in; there are {', '.join(OF_ANY_TENSOR)}"
    if name in BY_NAME:
        return f'write it in quotes: "{name}"'
    return did_you_mean(name, known) or f"there are {listed(known, at_most=20)}, config.KEY and sibling.NAME"
