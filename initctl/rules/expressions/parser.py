"""The parser of expressions: text → tree.

Numbers are plain ASCII decimals, so that nothing odd counts as a number by accident: no `nan`, no `inf`, no
underscores, no digits of other scripts, nothing that overflows to infinity or underflows to zero.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from initctl.errors import Excerpt, Problem, RuleError, shown
from initctl.rules.expressions.meant import function_instead, instead, name_instead
from initctl.rules.expressions.terms import (
    CONSTANTS,
    FUNCTIONS,
    NOT_FINITE,
    WORDS,
    Compared,
    Identifier,
    Literal,
    Operation,
    Subscript,
)
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from initctl.rules.expressions.terms import Tree

_Parsed = TypeVar("_Parsed")

LONGEST_EXPRESSION = 1000
"""Characters."""
LONGEST_NUMBER = 400
"""Characters; more than any float64 needs in full."""
MOST_PARTS = 200
"""Numbers, names and operators in an expression."""
DEEPEST = 50
"""Parentheses and signs inside each other."""
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


def parse_tree(source: Excerpt, *, conditions: bool) -> Tree:
    """The tree of the text in `source`, which may use comparisons, `and`, `or` and `not` only if `conditions` is set.

    Raises `RuleError`.
    """
    return _ExpressionParser(source, conditions=conditions).parse()


class _Token(NamedTuple):
    kind: str
    text: str
    place: Excerpt


class _ExpressionParser:
    def __init__(self, source: Excerpt, *, conditions: bool) -> None:
        self.source = source
        self.text = text = str(source)
        self.conditions = conditions
        if len(text) > LONGEST_EXPRESSION:
            beyond = source.part(LONGEST_EXPRESSION, len(text))
            raise self.error(f"is longer than {LONGEST_EXPRESSION} characters", None, beyond)
        self.tokens = list(self.split())
        self.at = 0
        self.depth = 0

    def split(self) -> Iterator[_Token]:
        at = 0
        while rest := self.text[at:].strip():
            found = _TOKEN.match(self.text, at)
            if not found or not found.lastgroup:
                start = self.text.index(rest, at)
                raise self.unexpected(self.source.part(start, start + 1))
            kind = found.lastgroup
            at = found.end()
            yield _Token(kind, found[kind], self.source.part(*found.span(kind)))

    def parse(self) -> Tree:
        if not self.tokens:
            raise self.error("is empty", self.instead(len(self.text)), self.source.part(0, 0))
        if len(self.tokens) > MOST_PARTS:
            further = self.tokens[MOST_PARTS].place
            raise self.error(f"has more than {MOST_PARTS} parts", "define variables for some: [vars]", further)
        tree = self.whole()
        if self.at < len(self.tokens):
            raise self.unexpected(self.tokens[self.at].place)
        return tree

    def whole(self) -> Tree:
        """A whole expression, or the content of parentheses."""
        return self.chain(("or",), self.conjunction) if self.conditions else self.sum()

    def conjunction(self) -> Tree:
        return self.chain(("and",), self.negation)

    def negation(self) -> Tree:
        return self.prefixed(("not",), self.negation, self.comparison)

    def comparison(self) -> Tree:
        operands, signs = [self.sum()], []
        while token := self.take(*_COMPARING):
            signs.append(token.text)
            operands.append(self.sum())
        if not signs:
            return operands[0]
        return Compared(operands[0].place.up_to(operands[-1].place), tuple(operands), tuple(signs))

    def sum(self) -> Tree:
        return self.chain(("+", "-"), self.product)

    def product(self) -> Tree:
        return self.chain(("*", "/"), self.signed)

    def chain(self, signs: tuple[str, ...], operand: Callable[[], Tree]) -> Tree:
        """Operands from left to right."""
        tree = operand()
        while token := self.take(*signs):
            tree = _over(token.text, tree, operand())
        return tree

    def signed(self) -> Tree:
        return self.prefixed(("-", "+"), self.signed, self.power)

    def prefixed(self, signs: tuple[str, ...], operand: Callable[[], Tree], otherwise: Callable[[], Tree]) -> Tree:
        """One of `signs` and the `operand` after it; `otherwise`, if there is no sign."""
        if not (token := self.take(*signs)):
            return otherwise()
        tree = self.nested(token, operand)
        return tree if token.text == "+" else Operation(token.place.up_to(tree.place), token.text, (tree,))

    def power(self) -> Tree:
        """Binds closer than a sign before it, and less than a sign after it, as in Python."""
        base = self.atom()
        token = self.take("**")
        return _over("**", base, self.nested(token, self.signed)) if token else base

    def atom(self) -> Tree:
        token = self.next()
        match token.kind:
            case "number":
                return Literal(token.place, _number(token))
            case "text" if self.conditions:
                return Literal(token.place, token.text[1:-1])
            case "name" if token.text not in WORDS:
                return self.named(token)
        if token.text != "(":
            raise self.unexpected(token.place)
        tree = self.nested(token, self.whole)
        self.close(token, ")")
        return tree

    def named(self, token: _Token) -> Tree:
        if token.text.lower() in NOT_FINITE:
            raise self.error(f"{shown(token.text)} is not a finite number", name_instead(token.text), token.place)
        if token.text in CONSTANTS:
            return Literal(token.place, CONSTANTS[token.text])
        if opened := self.take("("):
            return self.call(token, opened)
        name = Identifier(token.place, token.text)
        if opened := self.take("["):
            if self.at < len(self.tokens) and self.tokens[self.at].kind == "text":
                raise self.unexpected(self.tokens[self.at].place)
            index = self.nested(opened, self.sum)
            return Subscript(token.place.up_to(self.close(opened, "]").place), name, index)
        return name

    def call(self, token: _Token, opened: _Token) -> Tree:
        if token.text not in FUNCTIONS:
            hint = function_instead(token.text) or did_you_mean(token.text.rpartition(".")[2], FUNCTIONS)
            hint = hint or f"the functions are {', '.join(FUNCTIONS)}"
            raise self.error(f"unknown function {shown(token.text)}", hint, token.place)
        operands = self.nested(opened, self.operands)
        whole = token.place.up_to(self.close(opened, ")").place)
        count = FUNCTIONS[token.text]
        if count and len(operands) != count:
            fault = f"{token.text} takes {'one number' if count == 1 else f'{count} numbers'}"
            raise self.error(fault, function_instead(token.text), whole)
        return Operation(whole, token.text, operands)

    def operands(self) -> tuple[Tree, ...]:
        found = [self.sum()]
        while self.take(","):
            found.append(self.sum())
        return tuple(found)

    def nested(self, token: _Token, parse: Callable[[], _Parsed]) -> _Parsed:
        """What `parse` reads after `token`, one level deeper."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.error(f"is nested deeper than {DEEPEST}", None, token.place)
        found = parse()
        self.depth -= 1
        return found

    def close(self, opened: _Token, sign: str) -> _Token:
        if closed := self.take(sign):
            return closed
        if self.at < len(self.tokens):
            raise self.unexpected(self.tokens[self.at].place)
        raise self.error(f"{opened.text} is not closed", None, opened.place)

    def take(self, *texts: str) -> _Token | None:
        """The next token, if it is one of `texts`."""
        if self.at < len(self.tokens) and self.tokens[self.at].text in texts:
            return self.next()
        return None

    def next(self) -> _Token:
        if self.at == len(self.tokens):
            end = self.source.part(len(self.text), len(self.text) + 1)
            raise self.error("ends too early", "add a number or a name", end)
        self.at += 1
        return self.tokens[self.at - 1]

    def unexpected(self, place: Excerpt) -> RuleError:
        return self.error(f"unexpected {shown(str(place))}", self.instead(place.start - self.source.start), place)

    def instead(self, at: int) -> str:
        return instead(self.text, at, conditions=self.conditions)

    def error(self, fault: str, hint: str | None, place: Excerpt) -> RuleError:
        return RuleError(Problem("rule.expression", f"{shown(self.text)}: {fault}", hint, place))


def _over(function: str, left: Tree, right: Tree) -> Tree:
    """An operator over the operands on both sides of it."""
    return Operation(left.place.up_to(right.place), function, (left, right))


def _number(token: _Token) -> int | float:
    """An int if it has no point and no exponent, else a float."""
    value = float(token.text)
    if len(token.text) > LONGEST_NUMBER:
        fault, hint = "is not a number", "write a decimal such as 0.02 or 1e-5"
    elif math.isinf(value):
        fault, hint = "overflows: the largest number is about 1.8e308", None
    elif value == 0 and re.search("[1-9]", re.split("[eE]", token.text)[0]):
        fault, hint = "underflows to 0", "write 0 if you mean 0"
    else:
        return int(token.text) if token.text.isdigit() else value
    raise RuleError(Problem("rule.number", f"{shown(token.text)} {fault}", hint, token.place))
