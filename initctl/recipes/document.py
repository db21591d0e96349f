"""One TOML document of a recipe: what it says, every key known and every value of the right type.

    seed = 7
    extends = ["preset:gpt2", "base.toml"]
    optional = true                            # rules here may decide nothing

    [vars]                                     # names for expressions
    std = "0.02 / sqrt(2 * layers)"

    [config]                                   # what config.json is taken to say if it does not
    initializer_range = 0.02

    [[rule]]
    match = ["*.c_proj.weight", "*.out.weight"]
    where = "ndim == 2"
    init = "normal"
    std = "std"

A table `[preset]` says what a preset is for, and changes nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from initctl.errors import Problem, RuleError, escape, shown
from initctl.formats.config import dotted
from initctl.recipes.positions import DocumentText, Path, fault_position
from initctl.rules import Call, Rule, Scope, parse_call, parse_condition, parse_expression, parse_selector
from initctl.rules.expressions.terms import RESERVED
from initctl.stream.key import SEED_LIMIT
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from initctl.rules import Expression, Selector, Value

KEYS = ("seed", "extends", "optional", "vars", "config", "rule", "preset")
_WHERE = "where"
_FLAG = "must be true or false"
RULE_KEYS = ("match", "init", _WHERE, "optional")
PRESET_KEYS = ("summary", "source", "model_types")
_Parsed = TypeVar("_Parsed")
_Kind = TypeVar("_Kind")


class Seed(NamedTuple):
    """A seed, and the document that says it."""

    value: int
    source: str


class Document(NamedTuple):
    """What one document says: `source` is what messages call it, and `tables` are its rules, without a scope."""

    source: str
    seeds: tuple[Seed, ...]
    extends: tuple[str, ...]
    vars: Mapping[str, Expression]
    config: Mapping[str, Value]
    tables: tuple[_Field, ...]
    optional: bool

    def rules(self, scope: Scope) -> Iterator[Rule]:
        """Its rules, whose expressions know `scope`: one for each selector. Raises `RuleError`."""
        for table in self.tables:
            yield from _rules(table, scope, optional=self.optional)


def parse_document(text: DocumentText) -> Document:
    """The document that `text` holds. Raises `RuleError`."""
    document = _Field(text, (), _content(text))
    document.check_keys(KEYS)
    document.inner("preset", {}).check_keys(PRESET_KEYS)
    variables, config = document.inner("vars", {}), document.inner("config", {})
    return Document(
        text.source,
        document.inner("seed").seeds(),
        tuple(document.inner("extends", []).texts()),
        {name: variables.inner(name).variable(name) for name in variables.table()},
        {name: _config_value(text, name, value) for name, value in dotted(config.table())},
        tuple(document.inner("rule", []).rule_tables()),
        document.inner("optional", otherwise=False).of(bool, _FLAG),
    )


def _content(text: DocumentText) -> dict[str, Any]:
    place = shown(text.source)
    try:
        return tomllib.loads(text.text)
    except RecursionError:
        raise RuleError(Problem("recipe.malformed", f"{place}: is not TOML: nested too deeply")) from None
    except ValueError as error:  # also a number of too many digits
        fault, found = fault_position(text.text, str(error))
        at, excerpt = found or ("", None)
        message = f"{place}{at and f':{at}'}: is not TOML: {escape(fault)}"
        raise RuleError(Problem("recipe.malformed", message, None, excerpt)) from None


class _Field(NamedTuple):
    """A value of a document, and the keys that lead to it. Every method raises `RuleError` with its place."""

    document: DocumentText
    path: Path
    value: Any

    @property
    def name(self) -> str:
        """What messages call it."""
        match self.path:
            case ("rule", int(number), str(key)):
                return f"rule {number + 1}: {shown(key)}"
            case (str(table), *keys) if keys:
                return f"{table}.{shown('.'.join(map(str, keys)))}"
        return str(self.path[-1])

    def inner(self, key: str, otherwise: object = None) -> _Field:
        """What a table has at `key`, or `otherwise` if it has nothing there."""
        return _Field(self.document, (*self.path, key), self.value.get(key, otherwise))

    def check_keys(self, known: tuple[str, ...]) -> None:
        """Refuse a table with other keys."""
        for key in self.table():
            if key not in known:
                hint = did_you_mean(key, known) or f"there are {', '.join(known)}"
                place = "".join(f"{at}: " for at in self.path)
                raise self.document.error((*self.path, key), f"{place}no key {shown(key)} is known", hint)

    def error(self, fault: str, hint: str | None = None) -> RuleError:
        return self.document.error(self.path, f"{self.name}: {fault}", hint)

    def parsed(self, parse: Callable[[str], _Parsed], text: str) -> _Parsed:
        """What `parse` reads in `text`."""
        try:
            return parse(text)
        except RuleError as error:
            place, _ = self.document.place(self.path)
            raise error.prefixed(f"{place}: {self.name}: ") from None

    def call(self) -> Call:
        text = self.text()
        try:
            return self.parsed(parse_call, text)
        except RuleError:
            if _WHERE not in text.split():
                raise
        raise self.error(f"{shown(text)} holds a condition", 'write where = "…" as a key of its own')

    def selectors(self) -> list[tuple[str, Selector]]:
        texts = self.texts()
        if not texts:
            raise self.error("is empty")
        return [(text, self.parsed(parse_selector, text)) for text in texts]

    def argument(self) -> str:
        """A parameter's value as a rule on the command line would write it."""
        match self.value:
            case bool():
                return str(self.value).lower()
            case int() | float():
                return repr(self.value)
            case str() if self.value.strip():
                return str(self.value)
        raise self.error("must be a number, or a text: a word or an expression")

    def variable(self, name: str) -> Expression:
        if name in RESERVED or not name.isidentifier() or not name.isascii():
            hint = "letters, digits and _, and no name that expressions know"
            raise self.error("cannot be the name of a variable", hint)
        return self.parsed(parse_expression, self.argument())

    def seeds(self) -> tuple[Seed, ...]:
        if self.value is None:
            return ()
        if type(self.value) is int and 0 <= self.value < SEED_LIMIT:
            return (Seed(self.value, self.document.source),)
        raise self.error(f"{shown(self.value)} is not a whole number from 0 to 2^64 - 1")

    def of(self, kind: type[_Kind], fault: str) -> _Kind:
        """The value, which must be of this kind."""
        if isinstance(self.value, kind):
            return self.value
        raise self.error(fault)

    def text(self) -> str:
        return self.of(str, "must be a text")

    def texts(self) -> list[str]:
        texts = self.value if isinstance(self.value, list) else [self.value]
        if all(isinstance(text, str) for text in texts):
            return texts
        raise self.error("must be a text, or a list of texts")

    def table(self) -> Mapping[str, Any]:
        if isinstance(self.value, dict):
            return self.value
        raise self.error(f"must be a table: [{self.name}]")

    def rule_tables(self) -> Iterator[_Field]:
        if not isinstance(self.value, list) or not all(isinstance(table, dict) for table in self.value):
            raise self.error("must be tables", "write [[rule]] above each rule")
        return (_Field(self.document, (*self.path, number), table) for number, table in enumerate(self.value))


def _rules(table: _Field, scope: Scope, *, optional: bool) -> Iterator[Rule]:
    """The rules that one `[[rule]]` gives. Raises `RuleError`."""
    origin = table.document.origin(int(table.path[-1]))
    for key, example in (("match", "*.bias"), ("init", "zeros")):
        if key not in table.value:
            message, hint = f"{origin.place}: {key} is missing", f'write for instance {key} = "{example}"'
            raise RuleError(Problem("recipe.malformed", message, hint))
    call = _call(table)
    where = table.inner(_WHERE)
    condition = where.parsed(parse_condition, where.text()) if _WHERE in table.value else None
    optional = table.inner("optional", optional).of(bool, _FLAG)
    for text, selector in table.inner("match").selectors():
        yield Rule(f"{text}={call}", origin, selector, call, condition, optional, scope)


def _call(table: _Field) -> Call:
    """What `init` calls, with the table's further keys as parameters."""
    call = table.inner("init").call()
    given = dict(call.arguments)
    for key in table.value:
        if key in dict(call.arguments):
            raise table.inner(key).error("init gives it too", "give it once")
        if key not in RULE_KEYS:
            given[key] = table.inner(key).argument()
    return Call(call.name, tuple(given.items()))


def _config_value(text: DocumentText, name: str, value: Any) -> Value:  # noqa: ANN401 - whatever the document holds
    """What config.json is taken to say at a dotted key."""
    field = _Field(text, ("config", *name.split(".")), value)
    match value:
        case list() if all(isinstance(item, (int, float, str)) for item in value):
            return tuple(value)
        case float() if not isfinite(value):
            raise field.error(f"{value} is not a finite number")
        case int() | float() | str():
            return value
    raise field.error("must be a number, a text, true, false, or a list of them")
