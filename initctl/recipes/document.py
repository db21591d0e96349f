"""One TOML document of a recipe, with every key and type checked.

    seed = 7
    extends = ["preset:gpt2", "base.toml"]
    optional = true                            # rules may have no effect

    [vars]                                     # names for expressions
    std = "0.02 / sqrt(2 * layers)"

    [config]                                   # defaults for keys that config.json does not have
    initializer_range = 0.02

    [base]                                     # the same for the config.json of a base model
    hidden_size = 256

    [rows]                                     # other numbers of rows
    "classifier.*" = 5
    "*embed_tokens.weight" = "pad:64"

    [dims]                                     # other shapes; rules must fill these tensors
    pos_embed = [1, 577, 768]

    [set_config]                               # other values in the result's config.json
    num_labels = 5

    [[rule]]
    match = ["*.c_proj.weight", "*.out.weight"]
    where = "ndim == 2"
    init = "normal"
    std = "std"

A table `[preset]` describes a preset and has no effect.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from initctl.errors import Excerpt, Problem, RuleError, UsageError, escape, shown
from initctl.formats.config import dotted
from initctl.recipes.malformed import hint_for
from initctl.reshaping import Reshaping
from initctl.reshaping.settings import setting
from initctl.reshaping.sizes import DIMS, ROWS, parse_resize
from initctl.rules import Call, Rule, Scope, parse_call, parse_condition, parse_expression, parse_selector
from initctl.rules.expressions.terms import CONFIGS, RESERVED
from initctl.stream.key import SEED_LIMIT
from initctl.suggestions import did_you_mean, nearest

if TYPE_CHECKING:
    from initctl.formats.config import Setting
    from initctl.recipes.positions import DocumentText, Path
    from initctl.reshaping.sizes import Resize
    from initctl.rules import Expression, Selector, Value

SETTINGS = "set_config"
_WHERE = "where"
KEYS = ("seed", "extends", "optional", "vars", *CONFIGS, ROWS, DIMS, SETTINGS, "rule", "preset")
_FLAG = "must be true or false"
RULE_KEYS = ("match", "init", _WHERE, "optional")
PRESET_KEYS = ("summary", "source", "model_types")
_ABOVE_RULES = ("seed", "extends")
_Parsed = TypeVar("_Parsed")
_Kind = TypeVar("_Kind")


class Seed(NamedTuple):
    """A seed, and the document that sets it."""

    value: int
    source: str


class Document(NamedTuple):
    """The content of one document: its `text`, and what it says; `tables` are its rules, without a scope."""

    text: DocumentText
    seeds: tuple[Seed, ...]
    extends: tuple[str, ...]
    vars: Mapping[str, Expression]
    defaults: Mapping[str, Value]
    tables: tuple[_Field, ...]
    reshaping: Reshaping
    optional: bool

    def rules(self, scope: Scope) -> Iterator[Rule]:
        """Its rules, one for each selector; their expressions use `scope`. Raises `RuleError`."""
        for table in self.tables:
            yield from _rules(table, scope, optional=self.optional)


def parse_document(text: DocumentText) -> Document:
    """The document in `text`. Raises `RuleError`."""
    document = _Field(text, (), _content(text))
    document.check_keys(KEYS)
    document.inner("preset", {}).check_keys(PRESET_KEYS)
    variables, configs = document.inner("vars", {}), {name: document.inner(name, {}).table() for name in CONFIGS}
    optional = document.inner("optional", otherwise=False).of(bool, _FLAG)
    return Document(
        text,
        document.inner("seed").seeds(),
        tuple(document.inner("extends", []).texts()),
        {name: variables.inner(name).variable(name) for name in variables.table()},
        {name: _config_value(text, name, value) for name, value in dotted(configs)},
        tuple(document.inner("rule", []).rule_tables()),
        Reshaping(tuple(_sizes(document, optional=optional)), tuple(_settings(document))),
        optional,
    )


def _content(text: DocumentText) -> dict[str, Any]:
    try:
        return tomllib.loads(text.text)
    except RecursionError:
        raise RuleError(text.located(Problem("recipe.malformed", "is not valid TOML: nested too deeply"))) from None
    except ValueError as error:  # also a number with too many digits
        fault, excerpt = text.fault(str(error))
        hint = excerpt and hint_for(fault, text.text, excerpt.start)
        problem = Problem("recipe.malformed", f"is not valid TOML: {escape(fault)}", hint, excerpt)
        raise RuleError(text.located(problem)) from None


class _Field(NamedTuple):
    """A value of a document, and the keys that lead to it. Every method raises `RuleError` with its place."""

    document: DocumentText
    path: Path
    value: Any

    @property
    def name(self) -> str:
        """Its name in messages."""
        match self.path:
            case ("rule", int(number), *keys):
                return ": ".join((f"rule {number + 1}", *(shown(key) for key in keys if isinstance(key, str))))
            case (str(table), *keys) if keys:
                return f"{table}.{shown('.'.join(map(str, keys)))}"
        return str(self.path[-1])

    def inner(self, key: str, otherwise: object = None) -> _Field:
        """The value of a table at `key`, or `otherwise` if it has none."""
        return _Field(self.document, (*self.path, key), self.value.get(key, otherwise))

    def check_keys(self, known: tuple[str, ...]) -> None:
        """Refuse a table with other keys."""
        for key in self.table():
            if key not in known:
                hint = did_you_mean(key, known) or f"the keys are {', '.join(known)}"
                if key in RULE_KEYS:
                    hint = f"{key} is a key of a rule: write [[rule]] above it"
                place = "".join(f"{at}: " for at in self.path)
                raise self.document.error((*self.path, key), f"{place}unknown key {shown(key)}", hint)

    def error(self, fault: str, hint: str | None = None) -> RuleError:
        return self.document.error(self.path, f"{self.name}: {fault}", hint)

    def source(self, text: str) -> Excerpt:
        """Its value as `text`, with its place in the document."""
        return self.document.value(self.path, text)

    def parsed(self, parse: Callable[[Excerpt], _Parsed], text: str) -> _Parsed:
        """The result of `parse` for its value as `text`."""
        try:
            return parse(self.source(text))
        except RuleError as error:
            named = error.prefixed(f"{self.name}: ").problems
            raise RuleError(*(self.document.located(problem, self.path) for problem in named)) from None

    def call(self) -> Call:
        text = self.text()
        try:
            return self.parsed(parse_call, text)
        except RuleError:
            if _WHERE not in text.split():
                raise
        raise self.error(f"{shown(text)} contains a condition", 'write it as a separate key: where = "…"')

    def selectors(self) -> Iterator[tuple[Excerpt, Selector]]:
        """Each selector, with its place in the document."""
        texts = self.texts()
        if not texts:
            raise self.error("is empty")
        for number, text in enumerate(texts):
            item = self._replace(path=(*self.path, number)) if isinstance(self.value, list) else self
            yield item.source(text), item.parsed(parse_selector, text)

    def argument(self) -> str:
        """A parameter's value as in a rule on the command line."""
        match self.value:
            case bool():
                return str(self.value).lower()
            case int() | float():
                return repr(self.value)
            case str() if self.value.strip():
                return str(self.value)
        raise self.error("must be a number or a string (a word or an expression)")

    def variable(self, name: str) -> Expression:
        if name in RESERVED or not name.isidentifier() or not name.isascii():
            hint = "use letters, digits and _, but no name that has a meaning in expressions"
            raise self.error("cannot be the name of a variable", hint)
        return self.parsed(parse_expression, self.argument())

    def seeds(self) -> tuple[Seed, ...]:
        if self.value is None:
            return ()
        if type(self.value) is int and 0 <= self.value < SEED_LIMIT:
            return (Seed(self.value, self.document.source),)
        if isinstance(self.value, str) and self.value.isdecimal():
            text = shown(self.value)
            raise self.error(f'"{text}" is text', f"write seed = {text} without quotes")
        raise self.error(f"{shown(self.value)} is not a whole number from 0 to 2^64 - 1")

    def of(self, kind: type[_Kind], fault: str) -> _Kind:
        """The value, which must be of this type."""
        if isinstance(self.value, kind):
            return self.value
        raise self.error(fault)

    def text(self) -> str:
        return self.of(str, "must be a string")

    def texts(self) -> list[str]:
        texts = self.value if isinstance(self.value, list) else [self.value]
        if all(isinstance(text, str) for text in texts):
            return texts
        raise self.error("must be a string or a list of strings")

    def table(self) -> Mapping[str, Any]:
        if isinstance(self.value, dict):
            return self.value
        raise self.error(f"must be a table: [{self.name}]")

    def rule_tables(self) -> Iterator[_Field]:
        if not isinstance(self.value, list) or not all(isinstance(table, dict) for table in self.value):
            raise self.error("must be a list of tables", "write [[rule]] above each rule")
        return (_Field(self.document, (*self.path, number), table) for number, table in enumerate(self.value))


def _sizes(document: _Field, *, optional: bool) -> Iterator[Resize]:
    """The new sizes in the tables `[rows]` and `[dims]`. Raises `RuleError`."""
    for kind in (ROWS, DIMS):
        table = document.inner(kind, {})
        for pattern in table.table():
            field = table.inner(pattern)
            place = document.document.key(field.path)
            origin = document.document.origin_of(kind, place or Excerpt.of(pattern))
            try:
                yield parse_resize(kind, pattern, field.value, origin, optional=optional)
            except RuleError as error:
                raise RuleError(
                    *(document.document.located(problem, field.path) for problem in error.problems)
                ) from None


def _settings(document: _Field) -> Iterator[Setting]:
    """The fields in the table `[set_config]`. Raises `RuleError`."""
    table = document.inner(SETTINGS, {})
    for name, value in dotted(table.table()):
        keys = tuple(name.split("."))
        try:
            yield setting(keys, value)
        except UsageError as error:
            raise RuleError(*(document.document.located(p, (SETTINGS, *keys)) for p in error.problems)) from None


def _rules(table: _Field, scope: Scope, *, optional: bool) -> Iterator[Rule]:
    """The rules of one `[[rule]]`. Raises `RuleError`."""
    for key, example in (("match", "*.bias"), ("init", "zeros")):
        if key not in table.value:
            raise _missing(table, key, example)
    call = _call(table)
    where = table.inner(_WHERE)
    condition = where.parsed(parse_condition, where.text()) if _WHERE in table.value else None
    optional = table.inner("optional", optional).of(bool, _FLAG)
    for source, selector in table.inner("match").selectors():
        origin = table.document.origin(int(table.path[-1]), source)
        yield Rule(f"{source}={call}", origin, selector, call, condition, optional, scope)


def _missing(table: _Field, key: str, example: str) -> RuleError:
    """The error about a rule without `key`, or about an unknown key that may mean it."""
    for other in table.value:
        if other not in RULE_KEYS and nearest(other, (key,)):
            fault = f"{table.name}: {shown(other)} is not a key of a rule"
            return table.document.error((*table.path, other), fault, f"did you mean {key}?")
    return table.error(f"{key} is missing", f'write, for example, {key} = "{example}"')


def _call(table: _Field) -> Call:
    """The call of `init`, with the table's other keys as parameters."""
    call = table.inner("init").call()
    given, places = dict(call.arguments), dict(call.places)
    for key in table.value:
        field = table.inner(key)
        if key in dict(call.arguments):
            raise field.error("is also given in init", "give it once")
        if key in _ABOVE_RULES:
            fault = f"{key} is below [[rule]], so TOML makes it part of {table.name}"
            raise table.document.error(field.path, fault, "move it above the first [[rule]]")
        if key not in RULE_KEYS:
            given[key] = field.argument()
            places[key] = table.document.key(field.path) or Excerpt.of(key), field.source(given[key])
    return Call(call.name, tuple(given.items()), call.place, places)


def _config_value(text: DocumentText, name: str, value: Any) -> Value:  # noqa: ANN401 - whatever the document holds
    """The default for a name such as `config.hidden_size`."""
    field = _Field(text, tuple(name.split(".")), value)
    match value:
        case list() if all(isinstance(item, (int, float, str)) for item in value):
            return tuple(value)
        case float() if not isfinite(value):
            raise field.error(f"{value} is not a finite number")
        case int() | float() | str():
            return value
    raise field.error("must be a number, a string, true, false, or a list of them")
