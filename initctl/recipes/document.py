"""One TOML document of a recipe: what it says, every key known and every value of the right type.

    seed = 7
    extends = ["preset:gpt2", "base.toml"]
    optional = true                            # rules here may decide nothing

    [vars]                                     # names for expressions
    std = "0.02 / sqrt(2 * layers)"

    [config]                                   # what config.json is taken to say where it is silent
    initializer_range = 0.02

    [[rule]]
    match = ["*.c_proj.weight", "*.out.weight"]
    where = "ndim == 2"
    init = "normal"
    std = "std"

A table `[preset]` tells what a preset is for, and changes nothing.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any, NoReturn

from initctl.errors import Problem, RuleError, escape, shown
from initctl.formats.config import dotted
from initctl.recipes.positions import Checked, Located, fault_position
from initctl.rules import Call, Rule, Scope, parse_call, parse_condition, parse_expression, parse_selector
from initctl.rules.expressions import RESERVED
from initctl.stream.key import SEED_LIMIT
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from initctl.rules import Expression, Selector, Value

KEYS = ("seed", "extends", "optional", "vars", "config", "rule", "preset")
_WHERE = "where"
RULE_KEYS = ("match", "init", _WHERE, "optional")
PRESET_KEYS = ("summary", "source", "model_types")


@dataclass(frozen=True, slots=True)
class Document:
    """What one document says: `entries` are its rules, unbound."""

    located: Located
    seed: int | None
    extends: tuple[str, ...]
    vars: Mapping[str, Expression]
    config: Mapping[str, Value]
    entries: tuple[Mapping[str, Any], ...]
    optional: bool
    preset: Mapping[str, Any]

    def rules(self, scope: Scope) -> Iterator[Rule]:
        """Its rules, whose expressions know `scope`: one for each selector. Raises `RuleError`."""
        lines = self.located.rule_lines()
        for number, entry in enumerate(self.entries):
            place = f"{shown(self.source)}:{lines[number]}" if number in lines else shown(self.source)
            yield from _Entry(self.located, number, place, entry, optional=self.optional).rules(scope)

    @property
    def source(self) -> str:
        """What messages call it."""
        return self.located.source


def parse_document(text: str, source: str, *, is_file: bool = True) -> Document:
    """The document that `text` writes. Messages call it `source`, and name lines if it is a file.

    Raises `RuleError`.
    """
    located = Located(source, text if is_file else "")
    content = _content(text, source)
    _check_keys(content, KEYS, located, ())

    def checked(key: str, check: Callable[[Any, str], Checked], otherwise: object) -> Checked:
        return located.checked((key,), lambda: check(content.get(key, otherwise), key))

    preset = checked("preset", _table, {})
    _check_keys(preset, PRESET_KEYS, located, ("preset",))
    return Document(
        located,
        checked("seed", _seed, None),
        tuple(checked("extends", _texts, [])),
        {name: _variable(name, value, located) for name, value in checked("vars", _table, {}).items()},
        dict(_config_values(checked("config", _table, {}), located)),
        tuple(checked("rule", _rule_tables, [])),
        checked("optional", _flag, otherwise=False),
        preset,
    )


def _content(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        _refuse(shown(source), "is not TOML: nested too deeply")
    except ValueError as error:  # also a number of too many digits
        fault, found = fault_position(text, str(error))
        place = f"{shown(source)}:{found}" if found else shown(source)
        raise _malformed(place, f"is not TOML: {escape(fault)}").at(found and found.excerpt) from None


@dataclass(frozen=True, slots=True)
class _Entry:
    """One `[[rule]]`, counted from 0; messages about the rules that it gives say that they are at `file`."""

    located: Located
    number: int
    file: str
    entry: Mapping[str, Any]
    optional: bool

    @property
    def name(self) -> str:
        return f"rule {self.number + 1}"

    def rules(self, scope: Scope) -> Iterator[Rule]:
        if "match" not in self.entry:
            _refuse(f"{self.file}: {self.name}", "match is missing", 'write for instance match = "*.bias"')
        if "init" not in self.entry:
            _refuse(f"{self.file}: {self.name}", "init is missing", 'write for instance init = "zeros"')
        call = self.call()
        where = self.checked("where", _condition) if "where" in self.entry else None
        optional = self.checked("optional", _flag) if "optional" in self.entry else self.optional
        source = f"{shown(self.located.source)}: {self.name}"
        for text, selector in self.checked("match", _selectors):
            yield Rule(f"{text}={call}", source, selector, call, where, optional, scope, f"{self.file}: {self.name}")

    def call(self) -> Call:
        """What `init` calls, with the table's further keys as parameters."""
        call = self.checked("init", _call)
        given = dict(call.arguments)
        arguments = list(call.arguments)
        for key in self.entry:
            if key in given:
                fault = _malformed(f"{self.name}: {shown(key)}", "init gives it too", "give it once")
                raise self.located.error(fault, ("rule", self.number, key))
            if key not in RULE_KEYS:
                arguments.append((key, self.checked(key, _argument)))
        return Call(call.name, tuple(arguments))

    def checked(self, key: str, check: Callable[[Any, str], Checked]) -> Checked:
        path = ("rule", self.number, key)
        return self.located.checked(path, lambda: check(self.entry[key], f"{self.name}: {shown(key)}"))


def _call(value: Any, place: str) -> Call:  # noqa: ANN401
    text = _text(value, place)
    try:
        return parse_call(text)
    except RuleError as error:
        if _WHERE in text.split():
            _refuse(place, f"{shown(text)} holds a condition", 'write where = "…" as a key of its own')
        raise error.prefixed(f"{place}: ") from None


def _selectors(value: Any, place: str) -> list[tuple[str, Selector]]:  # noqa: ANN401
    texts = _texts(value, place)
    if not texts:
        _refuse(place, "is empty")
    try:
        return [(text, parse_selector(text)) for text in texts]
    except RuleError as error:
        raise error.prefixed(f"{place}: ") from None


def _condition(value: Any, place: str) -> Expression:  # noqa: ANN401
    text = _text(value, place)
    try:
        return parse_condition(text)
    except RuleError as error:
        raise error.prefixed(f"{place}: ") from None


def _argument(value: Any, place: str) -> str:  # noqa: ANN401 - whatever the document holds
    """A parameter's value as a rule on the command line would write it."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str() if value.strip():
            return str(value)
    raise _malformed(place, "must be a number, or a text: a word or an expression")


def _variable(name: str, value: Any, located: Located) -> Expression:  # noqa: ANN401
    return located.checked(("vars", name), lambda: _named_expression(name, value, f"vars.{shown(name)}"))


def _named_expression(name: str, value: Any, place: str) -> Expression:  # noqa: ANN401
    if name in RESERVED or not name.isidentifier() or not name.isascii():
        _refuse(place, "cannot be the name of a variable", "letters, digits and _, and no name that expressions know")
    try:
        return parse_expression(_argument(value, place))
    except RuleError as error:
        raise error.prefixed(f"{place}: ") from None


def _config_values(table: Mapping[str, Any], located: Located) -> Iterator[tuple[str, Value]]:
    """What config.json is taken to say, by dotted keys."""
    for name, value in dotted(table):
        path = ("config", *name.split("."))
        yield name, located.checked(path, partial(_config_value, value, f"config.{shown(name)}"))


def _config_value(value: Any, place: str) -> Value:  # noqa: ANN401
    match value:
        case list() if all(isinstance(item, (int, float, str)) for item in value):
            return tuple(value)
        case float() if not isfinite(value):
            _refuse(place, f"{value} is not a finite number")
        case int() | float() | str():
            return value
    raise _malformed(place, "must be a number, a text, true, false, or a list of them")


def _seed(value: Any, place: str) -> int | None:  # noqa: ANN401
    if value is not None and not (type(value) is int and 0 <= value < SEED_LIMIT):
        _refuse(place, f"{shown(value)} is not a whole number from 0 to 2^64 - 1")
    return value


def _flag(value: Any, place: str) -> bool:  # noqa: ANN401
    if not isinstance(value, bool):
        _refuse(place, "must be true or false")
    return value


def _text(value: Any, place: str) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        _refuse(place, "must be a text")
    return value


def _texts(value: Any, place: str) -> list[str]:  # noqa: ANN401
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        _refuse(place, "must be a text, or a list of texts")
    return texts


def _table(value: Any, key: str) -> Mapping[str, Any]:  # noqa: ANN401
    if not isinstance(value, dict):
        _refuse(key, f"must be a table: [{key}]")
    return value


def _rule_tables(value: Any, place: str) -> list[Mapping[str, Any]]:  # noqa: ANN401
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        _refuse(place, "must be tables", "write [[rule]] above each rule")
    return value


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], located: Located, path: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            hint = did_you_mean(key, known) or f"there are {', '.join(known)}"
            place = "".join(f"{at}: " for at in path)
            problem = Problem("recipe.malformed", f"{place}no key {shown(key)} is known", hint)
            raise located.error(RuleError(problem), (*path, key))


def _refuse(place: str, fault: str, hint: str | None = None) -> NoReturn:
    raise _malformed(place, fault, hint)


def _malformed(place: str, fault: str, hint: str | None = None) -> RuleError:
    return RuleError(Problem("recipe.malformed", f"{place}: {fault}", hint))
