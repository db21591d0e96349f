"""The text of an expression → its tree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Excerpt, Problem, RuleError, shown
from initctl.rules.expressions.tree import (
    CONSTANTS,
    FUNCTIONS,
    NOT_FINITE,
    OF_SEVERAL,
    WORDS,
    Applied,
    Combined,
    Compared,
    Item,
    Literal,
    Name,
)
from initctl.rules.number import parse_number
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from initctl.rules.expressions.tree import Tree

LONGEST_EXPRESSION = 1000
"""Characters."""
MOST_PARTS = 200
"""Numbers, names and operators in an expression."""
DEEPEST = 50
"""Parentheses and signs inside each other."""
_HINT = "write for instance sqrt(2/fan_in)"
_CONDITION_HINT = "write for instance ndim >= 2"
_MEANT = {
    "=": "write == to compare",
    "!": "write not",
    "&": "write and",
    "|": "write or",
    "^": "write ** for a power",
    ";": "separate parameters by commas",
}
"""What to write instead of signs that other languages have."""
_COMPARING = ("==", "!=", "<", "<=", ">", ">=")
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)
    |(?P<text>"[^"\n]*"|'[^'\n]*')
    |(?P<sign>\*\*|==|!=|<=|>=|[-+*/()\[\],<>])
    )""",
    re.VERBOSE,
)


def parse_tree(text: str, *, conditions: bool) -> Tree:
    """The tree of `text`, which may compare and combine only where `conditions` are asked for. Raises `RuleError`."""
    return _Parser(text, conditions=conditions).parse()


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
        self.hint = _CONDITION_HINT if conditions else _HINT
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
                hint = _MEANT[";"] if rest[0] == "=" and not self.conditions else _MEANT.get(rest[0], self.hint)
                raise self.error(f"{shown(rest[0])} means nothing here", hint, start, start + 1)
            kind = found.lastgroup
            yield _Token(kind, found[kind], found.start(kind), at := found.end(kind))

    def parse(self) -> Tree:
        if not self.tokens:
            raise self.error("is empty", self.hint, 0, 0)
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
        while token := self.take(*_COMPARING):
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
            case "name" if token.text not in WORDS:
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
        if token.text.lower() in NOT_FINITE:
            raise self.error(f"{shown(token.text)} is not a finite number", None, token.start, token.stop)
        if token.text in CONSTANTS:
            return Literal(token.start, token.stop, CONSTANTS[token.text])
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
            hint = did_you_mean(token.text, FUNCTIONS) or f"there are {', '.join(FUNCTIONS)}"
            raise self.error(f"has no function {shown(token.text)}", hint, token.start, token.stop)
        self.deeper(opened)
        operands = [self.sum()]
        while self.take(","):
            operands.append(self.sum())
        stop = self.close(opened, ")").stop
        if len(operands) > 1 and token.text not in OF_SEVERAL:
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
        hint = _MEANT.get(token.text, self.hint)
        return self.error(f"{shown(token.text)} does not belong here", hint, token.start, token.stop)

    def error(self, fault: str, hint: str | None, start: int, stop: int) -> RuleError:
        excerpt = Excerpt(self.text, start, stop)
        return RuleError(Problem("rule.expression", f"{shown(self.text)}: {fault}", hint, excerpt))


def _over(kind: type[Applied | Combined], function: str, operands: Sequence[Tree]) -> Tree:
    """An operator over operands that stand on both sides of it."""
    return kind(operands[0].start, operands[-1].stop, function, tuple(operands))
