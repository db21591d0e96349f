"""Rules → an equivalent TOML document that needs no other file.

It contains the rules as written, the variables that they use, and the values that they use of config.json and of a
base model's. If a name has different meanings in different rules, some of them get a new name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from math import isfinite
from typing import TYPE_CHECKING

from initctl.errors import Problem, RuleError, shown
from initctl.escaping import is_visible
from initctl.recipes.document import SETTINGS
from initctl.reshaping import UNCHANGED
from initctl.reshaping.sizes import DIMS, ROWS, Padded
from initctl.rules import Expression, Rule, Value, needed
from initctl.rules.expressions.parser import LONGEST_EXPRESSION
from initctl.rules.expressions.terms import CONFIGS, config_of

if TYPE_CHECKING:
    from initctl.formats.config import Setting
    from initctl.initializers import BoundCall
    from initctl.reshaping import Reshaping
    from initctl.reshaping.sizes import Size

    Configured = Callable[[Rule, str], Value | None]
    """The value of a name such as `config.hidden_size`, or a rule's default for it."""
    Meanings = dict[str, str | None]
    """The values of names, as TOML; None if a name has no value."""

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?(e-[0-9]{2})?")


def recipe_text(
    rules: Iterable[tuple[Rule, BoundCall | None]],
    seed: int,
    configured: Configured,
    reshaping: Reshaping = UNCHANGED,
) -> str:
    """A recipe of `rules`, each with its initializer, in order, and the seed; and of new sizes and settings.

    Raises `RuleError` if an expression is too long after variables are renamed.
    """
    writer = _Writer(configured)
    lines = [line for rule, bound in rules for line in writer.rule(rule, bound)]
    tables = {"vars": writer.vars, **{table: writer.configs_of(table) for table in CONFIGS}, **_reshaping(reshaping)}
    said = (line for name, meanings in tables.items() for line in _table(name, meanings))
    return "\n".join([f"seed = {seed}", *said, *lines]) + "\n"


def _table(name: str, meanings: Meanings) -> Iterator[str]:
    said = [f"{_key(key)} = {value}" for key, value in meanings.items() if value is not None]
    return iter(("", f"[{name}]", *said) if said else ())


def _reshaping(reshaping: Reshaping) -> dict[str, Meanings]:
    """The tables of new sizes and settings. Raises `RuleError` if TOML cannot hold a value."""
    rows: Meanings = {}
    dims: Meanings = {}
    for size in reshaping.sizes:  # the last one of a pattern decides
        (rows if size.keeps_rows else dims).pop(size.names.pattern, None)
        (rows if size.keeps_rows else dims)[size.names.pattern] = _size(size.size)
    return {ROWS: rows, DIMS: dims, SETTINGS: {setting.key: _setting(setting) for setting in reshaping.settings}}


def _size(size: Size) -> str:
    return toml_text(str(size)) if isinstance(size, Padded) else json.dumps(size)


def _setting(setting: Setting) -> str:
    """The value of `setting` as TOML. Raises `RuleError` if TOML cannot hold it."""
    items = setting.value if isinstance(setting.value, list) else [setting.value]
    if any(item is None or isinstance(item, (dict, list)) for item in items):
        fault = f"set-config: {shown(str(setting))} cannot be written in a recipe"
        raise RuleError(Problem("recipe.unwritable", fault, "leave it out, and give it with --set-config"))
    return _item(tuple(setting.value) if isinstance(setting.value, list) else setting.value)


@dataclass(slots=True)
class _Writer:
    """Writes rules, and collects the values of the names in them."""

    configured: Configured
    vars: Meanings = field(default_factory=dict)
    configs: Meanings = field(default_factory=dict)

    def rule(self, rule: Rule, bound: BoundCall | None) -> Iterator[str]:
        rows = rule.selector.rows
        yield ""
        yield "[[rule]]"
        bounds = f"[{self.text(rule, rows.start)}:{self.text(rule, rows.stop)}]" if rows else ""
        yield f"match = {toml_text(rule.selector.names.pattern + bounds)}"
        if rule.where:
            yield f"where = {toml_text(self.text(rule, rule.where))}"
        yield f"init = {toml_text(rule.call.name)}"
        for key, text in rule.call.arguments:
            value = bound and bound.arguments[key]
            yield f"{key} = {_written(self.text(rule, value) if isinstance(value, Expression) else text)}"
        if rule.optional:
            yield "optional = true"

    def text(self, rule: Rule, expression: Expression | None) -> str:
        """The text of `expression`, after the variables that it needs got their names."""
        if expression is None:
            return ""
        variables = rule.scope.vars
        names = {capture: capture for capture in rule.selector.names.captures}
        for used in sorted(expression.names & variables.keys()):
            for name in () if used in names else needed(used, variables, names):
                meaning = _written(self.renamed(rule, variables[name], names))
                names[name] = _named(self.vars, name, meaning, rule.selector.names.captures.__contains__)
        return self.renamed(rule, expression, names)

    def renamed(self, rule: Rule, expression: Expression, names: Mapping[str, str]) -> str:
        """The text of `expression` with these names and with the names for keys of config.json."""
        keys = {name: self.key(rule, name) for name in expression.names if config_of(name)}
        text = expression.renamed({**names, **keys})
        if len(text) > LONGEST_EXPRESSION:
            fault = f"is longer than {LONGEST_EXPRESSION} characters after variables are renamed: {shown(text)}"
            raise RuleError(rule.problem("recipe.unwritable", f"{shown(expression.text)}: {fault}"))
        return text

    def key(self, rule: Rule, name: str) -> str:
        def is_taken(other: str) -> bool:
            return other != name and self.configured(rule, other) is not None

        value = self.configured(rule, name)
        is_said = value is not None and not (isinstance(value, float) and not isfinite(value))
        return _named(self.configs, name, _item(value) if is_said else None, is_taken)

    def configs_of(self, table: str) -> Meanings:
        """The values of one of `CONFIGS`, by their dotted keys."""
        return {name.partition(".")[2]: value for name, value in self.configs.items() if config_of(name) == table}


def _named(meanings: Meanings, name: str, meaning: str | None, is_taken: Callable[[str], bool]) -> str:
    """`name`, unless it already has another meaning: then the first free name with a number."""
    for number in count(1):
        called = name if number == 1 else f"{name}_{number}"
        if not is_taken(called) and meanings.setdefault(called, meaning) == meaning:
            break
    return called


def _item(value: Value | None) -> str:
    """`value` as TOML."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return toml_text(value)
        case tuple():
            return f"[{', '.join(map(_item, value))}]"
    return repr(value)


def _written(text: str) -> str:
    """An argument or a variable as TOML: a number if TOML writes it in the same way."""
    is_number = _NUMBER.fullmatch(text) and text == repr(int(text) if text.lstrip("-").isdigit() else float(text))
    return text if is_number else toml_text(text)


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() else toml_text(name)


def toml_text(text: str) -> str:
    """`text` as a TOML string that is safe for a terminal or a log."""
    quoted = json.dumps(text, ensure_ascii=False).replace("##", "#\\u0023")
    return "".join(char if is_visible(char) else f"\\U{ord(char):08x}" for char in quoted)
