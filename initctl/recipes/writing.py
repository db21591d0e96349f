"""Rules → one TOML document that says the same, and needs nothing beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from initctl.rules import Expression
from initctl.rules.expressions.text import substituted, written
from initctl.rules.expressions.tree import Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from initctl.initializers import Bound
    from initctl.rules import Rule, Value
    from initctl.rules.expressions.tree import Tree

    Lookup = Callable[[Rule, str], Value | None]
    """What `config.json` says, or is taken to say by a rule, of a dotted key."""

CONFIG = "config."


def recipe_text(rules: Iterable[tuple[Rule, Bound | None]], seed: int, config: Lookup) -> str:
    """A recipe of `rules`, each with its initializer, in their order, and the seed.

    Variables are written out, and so is what `config` tells.
    """
    return "\n".join([f"seed = {seed}", *(line for rule, bound in rules for line in _rule(rule, bound, config))]) + "\n"


def _rule(rule: Rule, bound: Bound | None, config: Lookup) -> Iterator[str]:
    def text(expression: Expression | None) -> str:
        return written(substituted(expression.tree, known)) if expression else ""

    def known(name: str) -> Tree | None:
        if name in rule.scope.vars:
            return substituted(rule.scope.vars[name].tree, known)
        value = config(rule, name.removeprefix(CONFIG)) if name.startswith(CONFIG) else None
        return Literal(0, 0, value) if isinstance(value, (int, float, str)) else None

    rows = rule.selector.rows
    yield ""
    yield "[[rule]]"
    bounds = f"[{text(rows.start)}:{text(rows.stop)}]" if rows else ""
    yield f"match = {_quoted(rule.selector.names.pattern + bounds)}"
    if rule.where:
        yield f"where = {_quoted(text(rule.where))}"
    yield f"init = {_quoted(rule.call.name)}"
    for key, argument in rule.call.arguments:
        value = bound.arguments[key] if bound else argument
        yield f"{key} = {_quoted(text(value)) if isinstance(value, Expression) else _value(value)}"
    if rule.optional:
        yield "optional = true"


def _value(value: Value | None) -> str:
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    """`text` as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
