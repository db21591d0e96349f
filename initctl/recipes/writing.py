"""Rules → one TOML document that says the same, and needs nothing beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from initctl.errors import Problem, RuleError, shown
from initctl.escaping import is_visible
from initctl.rules import Circular, Expression, needed, parse_condition, parse_expression
from initctl.rules.expressions import CONFIG
from initctl.rules.expressions.parser import MOST_PARTS
from initctl.rules.expressions.text import substituted, written
from initctl.rules.expressions.tree import Literal, Name, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from initctl.initializers import BoundCall
    from initctl.rules import Rule, Value
    from initctl.rules.expressions.tree import Tree

    Lookup = Callable[[Rule, str], Value | None]
    """What `config.json` says, or is taken to say by a rule, of a dotted key."""


def recipe_text(rules: Iterable[tuple[Rule, BoundCall | None]], seed: int, config: Lookup) -> str:
    """A recipe of `rules`, each with its initializer, in their order, and the seed.

    Variables are written out, and so is what `config` tells; lists that it tells stand in a table of their own. Raises
    `RuleError` where an expression is too long then.
    """
    writer = _Writer(config)
    lines = [line for rule, bound in rules for line in writer.rule(rule, bound)]
    told = ["", "[config]", *(f"{_quoted(key)} = {_item(value)}" for key, value in writer.told.items())]
    return "\n".join([f"seed = {seed}", *(told if writer.told else ()), *lines]) + "\n"


@dataclass(slots=True)
class _Writer:
    """Writes rules; `told` is what `config` says that no expression can hold."""

    config: Lookup
    told: dict[str, Value] = field(default_factory=dict)

    def rule(self, rule: Rule, bound: BoundCall | None) -> Iterator[str]:
        rows = rule.selector.rows
        yield ""
        yield "[[rule]]"
        bounds = f"[{self.text(rule, rows.start)}:{self.text(rule, rows.stop)}]" if rows else ""
        yield f"match = {_quoted(rule.selector.names.pattern + bounds)}"
        if rule.where:
            yield f"where = {_quoted(self.text(rule, rule.where))}"
        yield f"init = {_quoted(rule.call.name)}"
        for key, argument in rule.call.arguments:
            value = bound.arguments[key] if bound else argument
            yield f"{key} = {_quoted(self.text(rule, value)) if isinstance(value, Expression) else _item(value)}"
        if rule.optional:
            yield "optional = true"

    def text(self, rule: Rule, expression: Expression | None) -> str:
        """The text of `expression`, which is read again as the same."""
        if not expression:
            return ""
        text = written(self.tree(rule, expression))
        try:
            (parse_condition if expression is rule.where else parse_expression)(text)
        except RuleError as error:
            _refuse(rule, expression, str(error))
        return text

    def tree(self, rule: Rule, expression: Expression) -> Tree:
        variables, captures = rule.scope.vars, rule.selector.names.captures
        trees: dict[str, Tree] = {}
        sizes: dict[str, int] = {}

        def known(name: str) -> Tree | None:
            if name in captures:
                return None
            return trees.get(name) or (self.literal(rule, name) if name.startswith(CONFIG) else None)

        def size(tree: Tree) -> int:
            return sum(sizes.get(part.name, 1) if isinstance(part, Name) else 1 for part in parts(tree))

        try:
            for used in sorted(expression.names & variables.keys() - set(captures)):
                for name in needed(used, variables, {*captures, *trees}):
                    sizes[name] = size(variables[name].tree)
                    if sizes[name] > MOST_PARTS:
                        _refuse(rule, expression, _TOO_LONG)
                    trees[name] = substituted(variables[name].tree, known)
        except Circular as fact:
            message = f"{rule}: {shown(expression.text)}: {fact}: variables that need each other"
            raise RuleError(Problem("rule.name", message)) from None
        if size(expression.tree) > MOST_PARTS:
            _refuse(rule, expression, _TOO_LONG)
        return substituted(expression.tree, known)

    def literal(self, rule: Rule, name: str) -> Literal | None:
        """What `config` tells, where an expression can hold it; else it is noted."""
        key = name.removeprefix(CONFIG)
        value = self.config(rule, key)
        if value is None:
            return None
        if isinstance(value, (int, float)) or (isinstance(value, str) and _is_quotable(value)):
            return Literal(0, 0, value)
        if self.told.setdefault(key, value) != value:
            message = f"{rule}: {shown(name)} is something else than in a rule before, and cannot be written out"
            raise RuleError(Problem("recipe.unwritable", message))
        return None


def _refuse(rule: Rule, expression: Expression, why: str) -> NoReturn:
    message = f"{rule}: {shown(expression.text)}: is no expression any more once variables are written out: {why}"
    raise RuleError(Problem("recipe.unwritable", message))


_TOO_LONG = f"it has more than {MOST_PARTS} parts"


def _is_quotable(text: str) -> bool:
    """Whether an expression can hold `text`."""
    return "\n" not in text and not ('"' in text and "'" in text)


def _item(value: Value | None) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _quoted(value)
        case tuple():
            return f"[{', '.join(map(_item, value))}]"
    return repr(value)


def _quoted(text: str) -> str:
    """`text` as a TOML string, which a terminal or a log may get."""
    quoted = json.dumps(text, ensure_ascii=False).replace("##", "#\\u0023")
    return "".join(char if is_visible(char) else f"\\U{ord(char):08x}" for char in quoted)
