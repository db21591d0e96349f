r"""Sets of characters that were meant as numbers or as alternatives, and the right spelling, in braces.

    [-1] [-12]             a number from the end    {-1} {-12}
    [10-11] [2-] [-2..-1]  a range of numbers       {10..11} {2..-1} {-2..-1}
    [1:3] [:2] [-2:]       a slice, as in Python    {1..2} {0..1} {-2..-1}
    [2,3] [up|down]        a list                   {2,3} {up,down}
    [[:digit:]]            a class, as in POSIX     [0-9]

These stay sets: single characters and ranges of them, such as `[abc]`, `[0-9]`, `[!x]`, `[12]`; and a `-`, `:` or `,`
without numbers or words on both sides, such as `[_-]`, `[-a]`, `[-]`, `[-0-9]`, `[:]`, `[,]`. A quoted character is
itself: `[\-1]` is a set of two.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NUMBER = r"-?[0-9]+"
_FROM_THE_END = re.compile(r"-[0-9]+")
_RANGE = re.compile(
    rf"(?P<low>{_NUMBER})?\s*(?:\.\.\.?)\s*(?P<high>{_NUMBER})?|(?P<first>{_NUMBER})-(?P<last>{_NUMBER})?"
)
_SLICE = re.compile(rf"\s*(?P<start>{_NUMBER})?\s*:\s*(?P<stop>{_NUMBER})?\s*(?P<step>:\s*(?:{_NUMBER})?\s*)?")
_WORD = re.compile(rf"{_NUMBER}|[A-Za-z0-9_.]+")
_SEPARATOR = re.compile(r"\s*[,|]\s*")
_CLASS = re.compile(r"\[:\^?([a-z]+):?")
_CLASSES = {"digit": "[0-9]", "alpha": "[a-zA-Z]", "alnum": "[a-zA-Z0-9]", "lower": "[a-z]", "upper": "[A-Z]"}
CLASS = "a class of characters"


class LookAlike(NamedTuple):
    """What a set looks like, and the pattern that was meant, if there is one."""

    kind: str
    meant: str | None


def look_alike(text: str, *, negated: bool = False) -> LookAlike | None:
    """What the set with `text` between its brackets looks like; None if it looks like a set."""
    found = _class(text) or _slice(text) or _range(text.strip()) or _number(text.strip()) or _list(text.strip())
    return LookAlike(found.kind, None) if found and negated else found  # braces cannot exclude


def numbers_meant(text: str) -> str | None:
    """The range in braces that `text` means in another spelling."""
    found = _range(text.replace(":", ".."), is_set=False)
    return found and found.meant


def _class(text: str) -> LookAlike | None:
    """`[[:digit:]]`, whose set ends at the first `]`."""
    found = _CLASS.fullmatch(text)
    return LookAlike(CLASS, _CLASSES.get(found[1])) if found else None


def _number(text: str) -> LookAlike | None:
    return LookAlike("a number", f"{{{int(text)}}}") if _FROM_THE_END.fullmatch(text) else None


def _range(text: str, *, is_set: bool = True) -> LookAlike | None:
    found = _RANGE.fullmatch(text)
    if not found or text.strip(".") == "":
        return None
    low, high = found["low"] or found["first"] or "0", found["high"] or found["last"] or "-1"
    if is_set and found["last"] and (len(low) == len(high) == 1 or low.startswith("-") != high.startswith("-")):
        return None  # characters, as in [0-9]; or a sign and characters, as in [-0-9]
    return LookAlike("a range of numbers", _braces(int(low), int(high)))


def _slice(text: str) -> LookAlike | None:
    """A slice as in Python, which does not include the number after the colon."""
    found = _SLICE.fullmatch(text)
    if not found or not any(map(str.isdigit, text)):
        return None
    start, stop = int(found["start"] or 0), int(found["stop"] or 0)
    is_range = found["step"] is None and (found["stop"] is None or stop != 0)
    return LookAlike("a slice", _braces(start, stop - 1) if is_range else None)


def _list(text: str) -> LookAlike | None:
    """Words, numbers and ranges between commas."""
    items = _SEPARATOR.split(text)
    if len(items) < 2:
        return None
    meant = [_item(item) for item in items]
    return LookAlike("a list", f"{{{','.join(map(str, meant))}}}") if None not in meant else None


def _item(text: str) -> str | None:
    if found := _range(text, is_set=False):
        return found.meant and found.meant[1:-1]
    if _FROM_THE_END.fullmatch(text):
        return f"{int(text)}..{int(text)}"
    return text if _WORD.fullmatch(text) else None


def _braces(low: int, high: int) -> str | None:
    """The range from `low` to `high`, unless it is empty."""
    if low > high and (low < 0) == (high < 0):
        return None
    return f"{{{low}..{high}}}" if low != high or low >= 0 else f"{{{low}}}"
