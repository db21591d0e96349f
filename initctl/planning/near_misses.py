"""Proposals for a pattern that matches no tensor."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from initctl.errors import RuleError, shown
from initctl.formats.state_dicts.names import WRAPPER_PREFIXES
from initctl.rules import Glob, highest_numbers, quoted
from initctl.rules.elements import NO_NUMBERS
from initctl.rules.regex import PREFIX as REGEX
from initctl.rules.regex import Regex
from initctl.suggestions import nearest

_PROPOSED = 3
_SIMILARITY = 0.5
_COMPARED = 2000
"""Names that are compared at most: similarity is slow to compute."""
_LONGEST = 200
"""Characters of a name that are compared."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
"""A part of a name without characters that are special in a pattern."""
_NUMBER = re.compile(r"\d+")
_ROW = re.compile(r"\[([0-9]{1,18})\]$")
"""The syntax of other languages for one row."""

_FROM_THE_END = re.compile(r"(?<![^.])-[0-9]+(?![^.])")
"""A part of a name that is a number from the end."""


def hint_for(pattern: str, names: Sequence[str]) -> str:
    """A hint for `pattern`, which matches none of `names`."""
    row = None if pattern.startswith(REGEX) else _ROW.search(pattern)
    if row and _matches_any(pattern[: row.start()], names):
        return f"rows are [START:STOP]: write '{shown(f'{pattern[: row.start()]}[{row[1]}:{int(row[1]) + 1}]')}'"
    counted = _FROM_THE_END.sub(r"{\g<0>}", pattern)
    if counted != pattern and _matches_any(counted, names, highest_numbers(names)):
        return f"did you mean '{shown(counted)}'?"
    literal = pattern.replace("[", r"\[")
    if literal != pattern and _matches_any(literal, names):
        return f"brackets hold a set of characters; write '{literal}' for the name"
    for prefix in WRAPPER_PREFIXES:
        if pattern.startswith(prefix) and _matches_any(pattern.removeprefix(prefix), names):
            return f"names are matched without the prefix {prefix}: write '{shown(pattern.removeprefix(prefix))}'"
    if spelled := [spelled for spelled in _spelled(pattern, names) if _matches_any(spelled, names)][:_PROPOSED]:
        known = set(names)
        meant = [shown(text) if text in known else f"'{shown(text)}'" for text in spelled]
        return f"did you mean {' or '.join(meant)}?"
    if longer := next((longer for longer in _longer(pattern) if _matches_any(longer, names)), None):
        return f"a pattern matches whole names: did you mean '{shown(longer)}'?"
    if found := nearest_names(pattern, names):
        return f"did you mean {' or '.join(map(shown, found))}?"
    return f"`initctl inspect` lists the names{_example(names)}"


def _example(names: Sequence[str]) -> str:
    """The last weight among `names`, which is often the head's; else the last name."""
    last = next((name for name in reversed(names) if name.endswith(".weight")), names[-1] if names else None)
    return f", such as {shown(last)}" if last else ""


def _longer(pattern: str) -> Iterator[str]:
    """Patterns for names that `pattern` is a part of, the narrowest first."""
    if pattern.startswith(REGEX):
        expression = pattern.removeprefix(REGEX)
        yield f"{REGEX}.*({expression}).*" if "|" in expression else f"{REGEX}.*{expression}.*"
        return
    for before, behind in (("*.", ""), ("", ".*"), ("*.", ".*"), ("*", "*")):
        begin = "" if pattern.startswith("*") else before
        yield begin + pattern + ("" if pattern.endswith("*") else behind)


def _spelled(pattern: str, names: Sequence[str]) -> Iterator[str]:
    """Patterns in which one part between dots, which none of `names` has, is spelled as one that they have."""
    parts = pattern.split(".")
    known = {part for name in names for part in name.split(".") if not part.isdigit()}
    for at, part in enumerate(parts if len(parts) > 1 else ()):
        if _PLAIN.fullmatch(part) and part not in known:
            for meant in nearest(part, islice(sorted(known), _COMPARED), n=_PROPOSED):
                yield ".".join((*parts[:at], quoted(meant), *parts[at + 1 :]))


def nearest_names(pattern: str, names: Sequence[str]) -> list[str]:
    """The names most like `pattern`, nearest first.

    Of names that differ only in numbers, one is returned: the one with the numbers of `pattern`, else the first.
    """
    distinct: dict[str, str] = {}
    numbers = _NUMBER.findall(pattern)
    for name in names:
        like = _NUMBER.sub("0", name)[:_LONGEST]
        if like not in distinct or _NUMBER.findall(name) == numbers:
            distinct[like] = name
        if len(distinct) == _COMPARED:
            break
    wanted = _NUMBER.sub("0", pattern)[:_LONGEST]
    return [distinct[like] for like in nearest(wanted, distinct, n=_PROPOSED, similarity=_SIMILARITY)]


def _matches_any(pattern: str, names: Sequence[str], highest: Mapping[str, int] = NO_NUMBERS) -> bool:
    try:
        matches = (Regex if pattern.startswith(REGEX) else Glob)(pattern).matches
    except RuleError:
        return False
    return any(matches(name, highest) for name in names)
