"""The parser of globs: text → elements. `initctl.rules.glob` has the syntax."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from initctl.errors import Excerpt, Problem, RuleError, shown
from initctl.rules.elements import LONGEST_NUMBER, Alternatives, AnyChar, AnyRun, Characters, CharSet, NumberRange
from initctl.rules.expressions.terms import RESERVED

if TYPE_CHECKING:
    from initctl.rules.elements import Element, Elements

LONGEST_PATTERN = 4096
DEEPEST_BRACES = 32

_CHARACTERS = re.compile(r"(\\?.)(?:-(\\?.))?", re.DOTALL)
"""A character of a set, or a range of them."""
_WIDE_RANGE = re.compile(r"([0-9]+)-([0-9]+)")
_RANGE = re.compile(rf"(-?[0-9]{{1,{LONGEST_NUMBER}}})\.\.(-?[0-9]{{1,{LONGEST_NUMBER}}})")
_NO_BRACES = (
    "write the numbers or words in braces, such as {0..3} or {a,b}",
    "write the numbers or words to include in braces, such as {0..-2}: braces cannot exclude",
)
"""Hints for a set that looks like a range or a list: if it is not negated, and if it is."""
_ROWS = "; for rows of a tensor, write [START:STOP]"
_FROM_THE_END = re.compile(rf"-[0-9]{{1,{LONGEST_NUMBER}}}")
_CAPTURE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPECIAL = re.compile(r"[*?\[\]{},\\=]")
"""Characters that are special in a pattern or a rule."""


def quoted(name: str) -> str:
    """The pattern that matches `name` and nothing else."""
    text = _SPECIAL.sub(r"\\\g<0>", name)
    return f"\\{text}" if text.startswith("re:") or text[:1].isspace() else text


def parse_pattern(source: Excerpt) -> Elements:
    """The elements of the pattern in `source`. Raises `RuleError` if it is not a glob."""
    return _PatternParser(source).parse()


class _PatternParser:
    def __init__(self, source: Excerpt) -> None:
        self.source = source
        self.pattern = str(source)
        self.at = 0
        self.depth = 0
        self.captures: set[str] = set()

    def parse(self) -> Elements:
        if len(self.pattern) > LONGEST_PATTERN:
            raise self.error(f"longer than {LONGEST_PATTERN} characters", None, LONGEST_PATTERN)
        if not self.pattern:
            raise self.error("empty", "name a tensor, or write * for all", 0)
        return self.sequence(ends="")

    def sequence(self, ends: str) -> Elements:
        found: list[Element] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in ends:
            found.append(self.element())
        return tuple(found)

    def element(self) -> Element:
        char = self.pattern[self.at]
        self.at += 1
        match char:
            case "*":
                while self.pattern.startswith("*", self.at):  # several in a row are one
                    self.at += 1
                return AnyRun()
            case "?":
                return AnyChar()
            case "[":
                return self.char_set()
            case "{":
                return self.braces()
            case "\\":
                return Characters(self.quoted())
        return Characters(char)

    def braces(self) -> Element:
        start = self.at - 1
        self.depth += 1
        if self.depth > DEEPEST_BRACES:
            raise self.error(f"braces nested deeper than {DEEPEST_BRACES}", None, start)
        alternatives, texts = [], []
        while True:
            begin = self.at
            number = self.number()
            alternatives.append((number,) if number else self.sequence(ends=",}"))
            texts.append(self.pattern[begin : self.at])
            if (end := self.take()) != ",":
                break
        if end != "}":
            fault = f"the brace at column {start + 1} is not closed"
            raise self.error(fault, r"write \{ for the character itself", start)
        self.depth -= 1
        if len(alternatives) > 1:
            return Alternatives(tuple(alternatives), tuple(texts))
        return self.alone(start, texts[0], alternatives[0])

    def number(self) -> NumberRange | None:
        """A range of numbers, if one fills an alternative."""
        found = _RANGE.match(self.pattern, self.at)
        if not found or self.pattern[found.end() : found.end() + 1] not in (",", "}"):
            return None
        low, high = map(int, found.groups())
        if low > high and (low < 0) == (high < 0):
            hint = f"write {high}..{low}"
            raise self.error(f"{found[0]} is an empty range", hint, found.start(), found.end())
        self.at = found.end()
        return NumberRange(low, high)

    def alone(self, start: int, text: str, sequence: Elements) -> Element:
        """The one thing in braces without a comma: a range, a number from the end, or a name for any number."""
        if len(sequence) == 1 and isinstance(sequence[0], NumberRange):
            return sequence[0]
        if _FROM_THE_END.fullmatch(text):
            return NumberRange(int(text), int(text))
        if not _CAPTURE.fullmatch(text):
            from initctl.rules.lookalikes import numbers_meant

            hint = r"separate alternatives by commas, or write \{ for the brace"
            if meant := numbers_meant(text):
                hint = f"write {meant}"
            raise self.error(f"{shown(self.pattern[start : self.at])} has only one alternative", hint, start)
        if self.depth:
            hint = "write it outside of other braces"
            raise self.error(f"{{{text}}} names a number, so it cannot be an alternative", hint, start)
        if text in RESERVED and text != "layer":
            raise self.error(f"{{{text}}}: {text} has a meaning in expressions", "use another name", start)
        if text in self.captures:
            raise self.error(f"{{{text}}} appears twice", "use another name for the second number", start)
        self.captures.add(text)
        return NumberRange(capture=text)

    def char_set(self) -> CharSet:
        start = self.at - 1
        if self.pattern.startswith("^", self.at):
            raise self.error("[^ does not negate a set", r"write [!, or [\^ for a set with ^ in it", start, self.at + 1)
        negated = self.pattern.startswith("!", self.at)
        self.at += negated
        begin = self.at
        while (char := self.take()) != "]":
            if char is None:
                fault = f"the bracket at column {start + 1} is not closed"
                raise self.error(fault, r"write \[ for the character itself", start)
            if char == "\\":
                self.quoted()
        ends = _CHARACTERS.findall(self.pattern[begin : self.at - 1])
        ranges = tuple((low[-1], (high or low)[-1]) for low, high in ends)
        self.check_set(start, negated=negated)
        text = shown(self.pattern[start : self.at])
        if not ranges or any(low > high for low, high in ranges):
            raise self.error(f"{text} matches nothing", r"write \[ for the bracket itself", start)
        return CharSet(ranges, negated)

    def check_set(self, start: int, *, negated: bool) -> None:
        """Refuse the set that begins at `start` if it looks like numbers or alternatives."""
        from initctl.rules.lookalikes import CLASS, LookAlike, look_alike

        text = self.pattern[start + 1 + negated : self.at - 1]
        found = look_alike(text, negated=negated)
        if found is None:
            wide = next((f for f in _WIDE_RANGE.finditer(text) if max(map(len, f.groups())) > 1), None)
            found = wide and LookAlike("a range of numbers", None)
        if found:
            self.at += found.kind == CLASS and self.pattern.startswith("]", self.at)
            fault = f"{shown(self.pattern[start : self.at])} is a set of single characters, not {found.kind}"
            hint = f"write {found.meant}" if found.meant else _NO_BRACES[negated]
            raise self.error(fault, hint + (_ROWS if self.ends_a_name(start) else ""), start)

    def ends_a_name(self, start: int) -> bool:
        """Whether the text from `start` follows a word and ends the pattern, as rows do."""
        return self.at == len(self.pattern) and self.pattern[start - 1 : start].isalnum()

    def quoted(self) -> str:
        char = self.take()
        if char is None:
            hint = r"write \\ for the character itself"
            raise self.error("the backslash at the end quotes nothing", hint, self.at - 1)
        return char

    def take(self) -> str | None:
        """The next character, or None at the end of the pattern."""
        char = self.pattern[self.at : self.at + 1]
        self.at += len(char)
        return char or None

    def error(self, fault: str, hint: str | None, start: int, stop: int | None = None) -> RuleError:
        """The error about the text from `start` to `stop`, by default to the last character read."""
        place = self.source.part(start, self.at if stop is None else stop)
        return RuleError(Problem("rule.glob", f"pattern {shown(self.pattern)}: {fault}", hint, place))
