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
from difflib import get_close_matches
from math import isfinite
from typing import TYPE_CHECKING, Any, NoReturn

from initctl.errors import Problem, RuleError, shown
from initctl.formats.config import dotted
from initctl.rules import Call, Rule, Scope, parse_call, parse_condition, parse_expression, parse_selector
from initctl.rules.expressions import RESERVED
from initctl.stream.key import SEED_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initctl.rules import Expression, Value

KEYS = ("seed", "extends", "optional", "vars", "config", "rule", "preset")
RULE_KEYS = ("match", "init", "where", "optional")
PRESET_KEYS = ("summary", "source", "model_types")


@dataclass(frozen=True, slots=True)
class Document:
    """What one document says: `entries` are its rules, unbound, each with its number."""

    source: str
    seed: int | None
    extends: tuple[str, ...]
    vars: Mapping[str, Expression]
    config: Mapping[str, Value]
    entries: tuple[tuple[int, Mapping[str, Any]], ...]
    optional: bool
    preset: Mapping[str, Any]

    def rules(self, scope: Scope) -> Iterator[Rule]:
        """Its rules, whose expressions know `scope`: one for each selector. Raises `RuleError`."""
        for number, entry in self.entries:
            yield from _Entry(f"{shown(self.source)}: rule {number}", entry, optional=self.optional).rules(scope)


def parse_document(text: str, source: str) -> Document:
    """The document that `text` writes; messages call it `source`. Raises `RuleError`."""
    place = shown(source)
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        _refuse(place, f"is not TOML: {shown(error) if str(error) else 'nested too deeply'}")
    except ValueError as error:  # a number of too many digits
        _refuse(place, f"is not TOML: {shown(error)}")
    _check_keys(content, KEYS, place)
    return Document(
        source,
        _seed(content.get("seed"), place),
        tuple(_texts(content.get("extends", []), f"{place}: extends")),
        {
            name: _variable(name, value, f"{place}: vars.{shown(name)}")
            for name, value in _table(content, "vars", place).items()
        },
        dict(_told(_table(content, "config", place), f"{place}: config")),
        tuple(enumerate(_rule_tables(content.get("rule", []), place), start=1)),
        _flag(content.get("optional", False), f"{place}: optional"),
        _preset(content, place),
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """One `[[rule]]`."""

    place: str
    entry: Mapping[str, Any]
    optional: bool

    def rules(self, scope: Scope) -> Iterator[Rule]:
        if "match" not in self.entry:
            _refuse(self.place, "match is missing", 'write for instance match = "*.bias"')
        if "init" not in self.entry:
            _refuse(self.place, "init is missing", 'write for instance init = "zeros"')
        call = self.call()
        where = self.where()
        optional = _flag(self.entry.get("optional", self.optional), f"{self.place}: optional")
        texts = _texts(self.entry["match"], f"{self.place}: match")
        if not texts:
            _refuse(f"{self.place}: match", "is empty")
        for text in texts:
            try:
                selector = parse_selector(text)
            except RuleError as error:
                raise error.prefixed(f"{self.place}: match: ") from None
            yield Rule(f"{text}={call}", self.place, selector, call, where, optional, scope)

    def call(self) -> Call:
        """What `init` calls, with the table's further keys as parameters."""
        text = _text(self.entry["init"], f"{self.place}: init")
        try:
            call = parse_call(text)
        except RuleError as error:
            raise error.prefixed(f"{self.place}: init: ") from None
        given = dict(call.arguments)
        arguments = list(call.arguments)
        for key, value in self.entry.items():
            if key in RULE_KEYS:
                continue
            if key in given:
                _refuse(f"{self.place}: {shown(key)}", "init gives it too", "give it once")
            arguments.append((key, _argument(value, f"{self.place}: {shown(key)}")))
        return Call(call.name, tuple(arguments))

    def where(self) -> Expression | None:
        if "where" not in self.entry:
            return None
        text = _text(self.entry["where"], f"{self.place}: where")
        try:
            return parse_condition(text)
        except RuleError as error:
            raise error.prefixed(f"{self.place}: where: ") from None


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


def _variable(name: str, value: Any, place: str) -> Expression:  # noqa: ANN401
    if name in RESERVED or not name.isidentifier() or not name.isascii():
        _refuse(place, "cannot be the name of a variable", "letters, digits and _, and no name that expressions know")
    try:
        return parse_expression(_argument(value, place))
    except RuleError as error:
        raise error.prefixed(f"{place}: ") from None


def _told(table: Mapping[str, Any], place: str) -> Iterator[tuple[str, Value]]:
    """What config.json is taken to say, by dotted keys."""
    for name, value in dotted(table):
        match value:
            case list() if all(isinstance(item, (int, float, str)) for item in value):
                yield name, tuple(value)
            case float() if not isfinite(value):
                _refuse(f"{place}.{shown(name)}", f"{value} is not a finite number")
            case int() | float() | str():
                yield name, value
            case _:
                _refuse(f"{place}.{shown(name)}", "must be a number, a text, true, false, or a list of them")


def _seed(value: Any, place: str) -> int | None:  # noqa: ANN401
    if value is not None and not (type(value) is int and 0 <= value < SEED_LIMIT):
        _refuse(f"{place}: seed", f"{shown(value)} is not a whole number from 0 to 2^64 - 1")
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


def _table(content: Mapping[str, Any], key: str, place: str) -> Mapping[str, Any]:
    value = content.get(key, {})
    if not isinstance(value, dict):
        _refuse(f"{place}: {key}", f"must be a table: [{key}]")
    return value


def _rule_tables(value: Any, place: str) -> list[Mapping[str, Any]]:  # noqa: ANN401
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        _refuse(f"{place}: rule", "must be tables", "write [[rule]] above each rule")
    return value


def _preset(content: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    table = _table(content, "preset", place)
    _check_keys(table, PRESET_KEYS, f"{place}: preset")
    return table


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    for key in table:
        if key not in known:
            nearest = get_close_matches(key, known, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(known)}"
            _refuse(place, f"no key {shown(key)} is known", hint)


def _refuse(place: str, fault: str, hint: str | None = None) -> NoReturn:
    raise _malformed(place, fault, hint)


def _malformed(place: str, fault: str, hint: str | None = None) -> RuleError:
    return RuleError(Problem("recipe.malformed", f"{place}: {fault}", hint))
