"""Arithmetic in rules: the text of an expression → a tree, and the tree's value. Nothing is ever handed to `eval`.

    value      + - * / **, unary minus, parentheses, numbers, `pi`, names, shape[i], sqrt log exp abs min max
    condition  values and texts compared by == != < <= > >=, combined by `and`, `or`, `not`; true, false

What a name stands for is told by whoever asks for the value.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Excerpt, Problem, RuleError, shown
from initctl.rules.number import parse_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Value = int | float | str | bool | tuple["Value", ...]
"""What a part of an expression can come to; a tuple is a shape, or a list of config.json."""

LONGEST_EXPRESSION = 1000
"""Characters."""
MOST_PARTS = 200
"""Numbers, names and operators in an expression."""
DEEPEST = 50
"""Parentheses and signs inside each other."""
_EXACT = 2**64
"""From here on no whole number is needed exactly, and it goes on as a float."""

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)
    |(?P<text>"[^"\n]*"|'[^'\n]*')
    |(?P<sign>\*\*|==|!=|<=|>=|[-+*/()\[\],<>])
    )""",
    re.VERBOSE,
)


class Undefined(Exception):  # noqa: N818 - a fact that planning turns into an error with rule and tensor
    """An expression has no value: the message says why, `start` and `stop` where."""

    def __init__(self, message: str, part: Part) -> None:
        super().__init__(message)
        self.start, self.stop = part.start, part.stop


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an expression, and where its text stands."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Literal(Part):
    value: int | float | str | bool


@dataclass(frozen=True, slots=True)
class Name(Part):
    name: str


@dataclass(frozen=True, slots=True)
class Item(Part):
    """`of[index]`."""

    of: Name
    index: Tree


@dataclass(frozen=True, slots=True)
class Applied(Part):
    """A function or an operator on its operands."""

    function: str
    operands: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Compared(Part):
    """Operands, each compared with the next."""

    operands: tuple[Tree, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Combined(Part):
    """`and`, `or` or `not` of conditions."""

    word: str
    operands: tuple[Tree, ...]


Tree = Literal | Name | Item | Applied | Compared | Combined


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression as it is written, and its tree; from `offset` on it may stand in another text, its `context`."""

    text: str
    tree: Tree
    context: str | None = field(default=None, compare=False, repr=False)
    offset: int = field(default=0, compare=False, repr=False)

    @property
    def names(self) -> frozenset[str]:
        """The names that it uses."""
        return frozenset(part.name for part in _parts(self.tree) if isinstance(part, Name))

    def value(self, lookup: Callable[[str], Value]) -> Value:
        """What it comes to where `lookup` tells what a name stands for, or raises `KeyError` with the reason.

        Raises `Undefined`. Numbers are finite.
        """
        return _value(self.tree, lookup)

    def excerpt(self, start: int, stop: int) -> Excerpt:
        """Characters `start` to `stop` of it, in the text that it stands in."""
        excerpt = Excerpt(self.text, start, stop)
        return excerpt if self.context is None else excerpt.moved(self.context, self.offset)

    def inside(self, text: str, offset: int) -> Expression:
        """The same expression as a part of `text`, from `offset` on."""
        return replace(self, context=text, offset=offset)

    def place_of(self, name: str) -> Excerpt:
        """Where it uses `name`, which is one of `names`, first."""
        start, stop = min((p.start, p.stop) for p in _parts(self.tree) if isinstance(p, Name) and p.name == name)
        return self.excerpt(start, stop)


def parse_expression(text: str) -> Expression:
    """The expression that `text` writes, which stands for a value. Raises `RuleError`."""
    return Expression(text, _Parser(text, conditions=False).parse())


def parse_condition(text: str) -> Expression:
    """The expression that `text` writes, which stands for true or false. Raises `RuleError`."""
    return Expression(text, _Parser(text, conditions=True).parse())


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    stop: int


class _Parser:
    """Recursive descent over one expression."""

    def __init__(self, text: str, *, conditions: bool) -> None:
        self.text = text
        self.conditions = conditions
        if len(text) > LONGEST_EXPRESSION:
            raise self.error(f"is longer than {LONGEST_EXPRESSION} characters", None, LONGEST_EXPRESSION, len(text))
        self.tokens = list(self.split())
        self.at = 0
        self.depth = 0

    def split(self) -> Iterator[_Token]:
        at = 0
        while rest := self.text[at:].strip():
            found = _TOKEN.match(self.text, at)
            if not found or not found.lastgroup:
                start = self.text.index(rest, at)
                raise self.error(f"{shown(rest[0])} means nothing here", _HINT, start, start + 1)
            kind = found.lastgroup
            yield _Token(kind, found[kind], found.start(kind), at := found.end(kind))

    def parse(self) -> Tree:
        if not self.tokens:
            raise self.error("is empty", _HINT, 0, 0)
        if len(self.tokens) > MOST_PARTS:
            _, _, start, stop = self.tokens[MOST_PARTS]
            raise self.error(f"has more than {MOST_PARTS} parts", "give names to some of them: [vars]", start, stop)
        tree = self.disjunction() if self.conditions else self.sum()
        if self.at < len(self.tokens):
            raise self.unexpected()
        return tree

    def disjunction(self) -> Tree:
        return self.combined("or", self.conjunction)

    def conjunction(self) -> Tree:
        return self.combined("and", self.negation)

    def combined(self, word: str, operand: Callable[[], Tree]) -> Tree:
        operands = [operand()]
        while self.take(word):
            operands.append(operand())
        return operands[0] if len(operands) == 1 else _over(Combined, word, operands)

    def negation(self) -> Tree:
        if token := self.take("not"):
            self.deeper(token)
            operand = self.negation()
            self.depth -= 1
            return Combined(token.start, operand.stop, "not", (operand,))
        return self.comparison()

    def comparison(self) -> Tree:
        operands, signs = [self.sum()], []
        while token := self.take(*_COMPARED):
            signs.append(token.text)
            operands.append(self.sum())
        if not signs:
            return operands[0]
        return Compared(operands[0].start, operands[-1].stop, tuple(operands), tuple(signs))

    def sum(self) -> Tree:
        return self.chain(("+", "-"), self.product)

    def product(self) -> Tree:
        return self.chain(("*", "/"), self.signed)

    def chain(self, signs: Sequence[str], operand: Callable[[], Tree]) -> Tree:
        """Operands from left to right."""
        tree = operand()
        while token := self.take(*signs):
            tree = _over(Applied, token.text, [tree, operand()])
        return tree

    def signed(self) -> Tree:
        token = self.take("-", "+")
        if not token:
            return self.power()
        self.deeper(token)
        operand = self.signed()
        self.depth -= 1
        return operand if token.text == "+" else Applied(token.start, operand.stop, "-", (operand,))

    def power(self) -> Tree:
        """Binds closer than a sign before it, and less than one behind it, as everywhere."""
        base = self.atom()
        if not (token := self.take("**")):
            return base
        self.deeper(token)
        exponent = self.signed()
        self.depth -= 1
        return _over(Applied, "**", [base, exponent])

    def atom(self) -> Tree:
        token = self.next()
        match token.kind:
            case "number":
                return self.number(token)
            case "text" if self.conditions:
                return Literal(token.start, token.stop, token.text[1:-1])
            case "name" if token.text not in _WORDS:
                return self.named(token)
        if token.text != "(":
            self.at -= 1
            raise self.unexpected()
        self.deeper(token)
        tree = self.disjunction() if self.conditions else self.sum()
        self.close(token, ")")
        return tree

    def number(self, token: _Token) -> Literal:
        try:
            return Literal(token.start, token.stop, parse_number(token.text))
        except RuleError as error:
            raise error.at(Excerpt(self.text, token.start, token.stop)) from None

    def named(self, token: _Token) -> Tree:
        if token.text in _CONSTANTS:
            return Literal(token.start, token.stop, _CONSTANTS[token.text])
        if opened := self.take("("):
            return self.call(token, opened)
        name = Name(token.start, token.stop, token.text)
        if opened := self.take("["):
            self.deeper(opened)
            index = self.sum()
            return Item(token.start, self.close(opened, "]").stop, name, index)
        return name

    def call(self, token: _Token, opened: _Token) -> Tree:
        if token.text not in FUNCTIONS:
            hint = f"there are {', '.join(FUNCTIONS)}"
            raise self.error(f"has no function {shown(token.text)}", hint, token.start, token.stop)
        self.deeper(opened)
        operands = [self.sum()]
        while self.take(","):
            operands.append(self.sum())
        stop = self.close(opened, ")").stop
        if len(operands) > 1 and token.text not in _OF_SEVERAL:
            raise self.error(f"{token.text} takes one number", None, token.start, stop)
        return Applied(token.start, stop, token.text, tuple(operands))

    def deeper(self, token: _Token) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.error(f"is nested deeper than {DEEPEST}", None, token.start, token.stop)

    def close(self, opened: _Token, sign: str) -> _Token:
        self.depth -= 1
        if closed := self.take(sign):
            return closed
        if self.at < len(self.tokens):
            raise self.unexpected()
        raise self.error(f"{opened.text} is not closed", None, opened.start, opened.stop)

    def take(self, *texts: str) -> _Token | None:
        """The next token, where it is one of `texts`."""
        if self.at < len(self.tokens) and self.tokens[self.at].text in texts:
            return self.next()
        return None

    def next(self) -> _Token:
        if self.at == len(self.tokens):
            raise self.error("breaks off", "a number or a name is missing", len(self.text), len(self.text) + 1)
        self.at += 1
        return self.tokens[self.at - 1]

    def unexpected(self) -> RuleError:
        token = self.tokens[self.at]
        return self.error(f"{shown(token.text)} does not belong here", _HINT, token.start, token.stop)

    def error(self, fault: str, hint: str | None, start: int, stop: int) -> RuleError:
        place = f"expression {shown(self.text)}"
        return RuleError(Problem("rule.expression", f"{place}: {fault}", hint, Excerpt(self.text, start, stop)))


def _over(kind: type[Applied | Combined], function: str, operands: Sequence[Tree]) -> Tree:
    """An operator over operands that stand on both sides of it."""
    return kind(operands[0].start, operands[-1].stop, function, tuple(operands))


def _parts(tree: Tree) -> Iterator[Tree]:
    """`tree` and all that it is made of."""
    waiting: list[Tree] = [tree]
    while waiting:
        part = waiting.pop()
        yield part
        match part:
            case Item(of=of, index=index):
                waiting += (of, index)
            case Applied(operands=operands) | Compared(operands=operands) | Combined(operands=operands):
                waiting += operands


def _value(tree: Tree, lookup: Callable[[str], Value]) -> Value:
    match tree:
        case Literal(value=value):
            return value
        case Name(name=name):
            try:
                return lookup(name)
            except KeyError as reason:
                raise Undefined(str(reason.args[0]), tree) from None
        case Item(of=of, index=index):
            return _item(tree, _value(of, lookup), _value(index, lookup))
        case Applied(function=function, operands=operands):
            return _applied(tree, function, [_number(part, lookup) for part in operands])
        case Compared(operands=operands, signs=signs):
            pairs = pairwise([_value(part, lookup) for part in operands])
            return all(_holds(tree, sign, *pair) for sign, pair in zip(signs, pairs, strict=True))
        case Combined(word=word, operands=operands):
            truths = (_truth(part, lookup) for part in operands)
            return not next(truths) if word == "not" else (all if word == "and" else any)(truths)


def _item(tree: Item, of: Value, index: Value) -> Value:
    if not isinstance(of, tuple):
        raise Undefined(f"{tree.of.name} is not a list", tree.of)
    if type(index) is not int:
        raise Undefined(f"{index} is not a whole number", tree.index)
    if not -len(of) <= index < len(of):
        raise Undefined(f"{tree.of.name} has {len(of)} numbers, and none at {index}", tree)
    return of[index]


def _number(tree: Tree, lookup: Callable[[str], Value]) -> int | float:
    value = _value(tree, lookup)
    if isinstance(value, (str, bool, tuple)):
        raise Undefined(f"{_described(value)} is not a number", tree)
    return value


def _truth(tree: Tree, lookup: Callable[[str], Value]) -> bool:
    value = _value(tree, lookup)
    if not isinstance(value, bool):
        raise Undefined(f"{_described(value)} is neither true nor false", tree)
    return value


def _holds(tree: Compared, sign: str, one: Value, other: Value) -> bool:
    if sign in ("==", "!="):
        return bool(_COMPARED[sign](one, other))
    for value in (one, other):
        if isinstance(value, (str, bool, tuple)):
            raise Undefined(f"{_described(value)} is not a number", tree)
    return bool(_COMPARED[sign](one, other))


def _described(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else shown(value)


def _applied(tree: Applied, function: str, numbers: list[int | float]) -> int | float:
    try:
        result = _operation(function, len(numbers))(*numbers)
    except ZeroDivisionError:
        raise Undefined("a number is divided by 0", tree) from None
    except (ValueError, OverflowError):
        result = math.inf
    if isinstance(result, complex) or not math.isfinite(result):
        written = f"{function} of {', '.join(f'{number:.6g}' for number in numbers)}"
        raise Undefined(f"{written} is not defined, or too large", tree)
    return float(result) if abs(result) >= _EXACT else result


def _operation(function: str, count: int) -> Callable[..., int | float]:
    return operator.neg if function == "-" and count == 1 else _OPERATIONS[function]


def _power(base: float, exponent: float) -> int | float:
    """Whole numbers stay whole while they are small: Python would compute any of them exactly, however large."""
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0 and base.bit_length() * exponent <= 64:
        return int(base**exponent)
    result: float = float(base) ** float(exponent)
    return result


FUNCTIONS = ("sqrt", "log", "exp", "abs", "min", "max")
_OF_SEVERAL = ("min", "max")
_OPERATIONS: dict[str, Callable[..., int | float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": _power,
    "sqrt": math.sqrt,
    "log": math.log,
    "exp": math.exp,
    "abs": abs,
    "min": lambda *numbers: min(numbers),
    "max": lambda *numbers: max(numbers),
}
_COMPARED: dict[str, Callable[[Value, Value], object]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONSTANTS: dict[str, float | bool] = {"pi": math.pi, "true": True, "false": False}
_WORDS = ("and", "or", "not")
RESERVED = frozenset((*_CONSTANTS, *_WORDS, *FUNCTIONS))
"""What no variable and no capture can be called."""
_HINT = "write for instance sqrt(2/fan_in)"
