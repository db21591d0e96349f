"""A rule whose initializer is known, and every name in its expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.dtypes import BY_NAME
from initctl.errors import Problem, RuleError, listed, shown
from initctl.initializers import KEEP, REGISTRY, BoundCall
from initctl.initializers.fans import Arrangement, arrangement_of
from initctl.planning.lookup import ALL_FACTS, NAME_FACTS, SHAPE_FACTS, SIBLING
from initctl.rules import Circular, needed
from initctl.rules.expressions.meant import name_instead
from initctl.rules.expressions.terms import CONSTANTS, Identifier, Literal, config_of, equated
from initctl.suggestions import ELSEWHERE, did_you_mean, nearest

if TYPE_CHECKING:
    from initctl.rules import Expression, Rule


class BoundRule(NamedTuple):
    """A rule with its bound initializer; None means that it keeps tensors."""

    rule: Rule
    initializer: BoundCall | None

    @property
    def arrangement(self) -> Arrangement:
        return arrangement_of(self.initializer.values) if self.initializer else Arrangement()

    def uses(self, table: str) -> bool:
        """Whether it uses a value of `table`, one of `CONFIGS`."""
        return any(config_of(name) == table for name in self.names)

    @property
    def expressions(self) -> list[Expression]:
        rows = self.rule.selector.rows.bounds if self.rule.selector.rows else ()
        arguments = self.initializer.expressions.values() if self.initializer else ()
        return [*([self.rule.where] if self.rule.where else []), *rows, *arguments]

    @property
    def names(self) -> set[str]:
        """All names that it uses, and that the variables among them use."""
        expressions = [*self.expressions, *self.variables.values()]
        return {name for expression in expressions for name in expression.names}

    @property
    def variables(self) -> dict[str, Expression]:
        """The variables that it uses, by their names, and those that they use themselves."""
        variables = self.rule.scope.vars
        found: dict[str, Expression] = {}
        waiting = [name for expression in self.expressions for name in sorted(expression.names)]
        while waiting:
            name = waiting.pop()
            if name in variables and name not in found:
                found[name] = variables[name]
                waiting += sorted(found[name].names)
        return found

    @property
    def name_dependent_names(self) -> tuple[str, ...]:
        """The names that it uses whose value depends on a tensor's name."""
        of_name = {*NAME_FACTS, *self.rule.selector.names.captures}
        return tuple(sorted(name for name in self.names if name in of_name or name.startswith(SIBLING)))


def bind(rule: Rule) -> BoundRule:
    """`rule` with its initializer found, its arguments checked, and every name known. Raises `RuleError`."""
    try:
        bound = BoundRule(rule, _initializer(rule))
        for expression in bound.expressions:
            _check_names(expression, rule, "")
            _check_order(expression, rule)
            _check_compared(expression)
        for name, expression in bound.variables.items():
            if name not in rule.selector.names.captures:
                _check_names(expression, rule, f"variable {name}: ")
    except RuleError as error:
        raise rule.error(error) from None
    return bound


def _initializer(rule: Rule) -> BoundCall | None:
    if rule.call.name != KEEP:
        try:
            return REGISTRY.bind(rule.call)
        except RuleError as error:
            raise _as_preset(rule, error) from None
    if rule.call.arguments:
        raise RuleError(Problem("rule.parameter", f"{KEEP} takes no parameters", None, rule.call.place))
    return None


def _as_preset(rule: Rule, error: RuleError) -> RuleError:
    """`error`, with another hint if the initializer is unknown because its name is a preset's."""
    from initctl.recipes.presets import AUTO, preset_names

    name = rule.call.name
    if error.problems[0].code != "rule.initializer" or name not in (*preset_names(), AUTO):
        return error
    return RuleError(error.problems[0]._replace(hint=f"{name} is a preset: use -p {name}"))


def _check_names(expression: Expression, rule: Rule, place: str) -> None:
    """Raise `RuleError` if `expression`, which is at `place`, uses a name that is undefined for every tensor."""
    known = (*rule.scope.vars, *rule.selector.names.captures, *ALL_FACTS)
    for name in sorted(expression.names.difference(known)):
        if not (config_of(name) or _is_of_sibling(name)):
            message = f"{place}{shown(expression.text)}: unknown name {shown(name)}"
            raise RuleError(Problem("rule.name", message, _hint(name, known), expression.place_of(name)))


def _check_order(expression: Expression, rule: Rule) -> None:
    """Raise `RuleError` if a variable that `expression` uses needs itself."""
    captures = rule.selector.names.captures
    for name in sorted(expression.names & rule.scope.vars.keys() - set(captures)):
        try:
            tuple(needed(name, rule.scope.vars, captures))
        except Circular as fact:
            message = f"{shown(expression.text)}: {fact}"
            raise RuleError(Problem("rule.name", message, None, expression.place_of(name))) from None


def _check_compared(expression: Expression) -> None:
    """Raise `RuleError` if `expression` compares a dtype or a shape with something that none can equal."""
    for one, other in equated(expression.tree):
        if isinstance(one, Identifier) and isinstance(other, Literal) and (fault := _never(one.name, other.constant)):
            raise RuleError(Problem("rule.expression", f"{shown(expression.text)}: {fault[0]}", fault[1], other.place))


def _never(name: str, constant: float | str) -> tuple[str, str] | None:
    """Why the fact `name` never equals `constant`, and what to write; None if it may."""
    match name.removeprefix(SIBLING).rpartition(".")[2] if name.startswith(SIBLING) else name:
        case "dtype" if constant not in BY_NAME:
            written = shown(f'"{constant}"' if isinstance(constant, str) else constant)
            meant = _dtype(str(constant))
            return f"{written} is not a dtype", f'did you mean "{meant}"?' if meant else 'write, for example, "float32"'
        case "shape":
            return "shape is not a number", "write, for example, ndim == 1 and shape[0] == 50"
    return None


def _dtype(word: str) -> str | None:
    """The name of the dtype that `word` may mean."""
    return next(iter(nearest(word.removeprefix("torch."), BY_NAME)), None)


def _is_of_sibling(name: str) -> bool:
    """Whether `name` asks for a fact of a sibling, or, as one word alone, whether it exists."""
    sibling, _, asked = name.removeprefix(SIBLING).rpartition(".")
    is_fact = asked in SHAPE_FACTS
    return name.startswith(SIBLING) and (is_fact if sibling else not is_fact)


def _hint(name: str, known: tuple[str, ...]) -> str:
    if name.startswith(SIBLING):
        return f"write sibling.NAME.FACT, such as sibling.weight.fan_in; the facts are {', '.join(SHAPE_FACTS)}"
    plain = name.removeprefix("torch.")
    if plain in BY_NAME or ELSEWHERE.get(plain) in BY_NAME:
        return f'write it in quotes: "{_dtype(plain)}"'
    return (
        name_instead(name)
        or did_you_mean(name, (*known, *CONSTANTS))
        or f"known names: {listed(known, at_most=30)}, config.KEY, base.KEY and sibling.NAME"
    )
