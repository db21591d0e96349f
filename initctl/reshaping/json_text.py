"""Values in the text of a JSON object, replaced or added; everything else keeps its bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from initctl.formats.config import Setting
    from initctl.reshaping.settings import Keys

_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_INDENT = "  "
"""What transformers indents a file with."""


class _Member(NamedTuple):
    """A `key` and its value: the places where the text before the key, the key, and the value begin and end."""

    before: int
    key_start: int
    key_stop: int
    start: int
    stop: int
    key: str


def edited(text: str, settings: Iterable[Setting]) -> str:
    """`text`, a valid JSON object, with new values. New fields come last in their object.

    All but the last key of each must lead to objects that exist.
    """
    unit = _unit(text)
    for keys, value in settings:
        text = _edited(text, keys, value, unit)
    return text


def _edited(text: str, keys: Keys, value: Any, unit: str | None) -> str:  # noqa: ANN401 - whatever JSON can hold
    """`text` with this `value` of the field that `keys` lead to."""
    at = text.index("{")
    *above, last = keys
    for key in above:
        at = next(member.start for member in _members(text, at) if member.key == key)
    members = list(_members(text, at))
    new = _written(value, unit, len(keys), is_ascii=text.isascii())
    if found := next((member for member in members if member.key == last), None):
        return text[: found.start] + new + text[found.stop :]
    if not members:
        whole = _written({last: value}, unit, len(above), is_ascii=text.isascii())
        return text[:at] + whole + text[text.index("}", at) + 1 :]
    before = members[-1]
    lead, colon = text[before.before : before.key_start], text[before.key_stop : before.start]
    added = f",{lead}{json.dumps(last, ensure_ascii=text.isascii())}{colon}{new}"
    return text[: before.stop] + added + text[before.stop :]


def _members(text: str, at: int) -> Iterator[_Member]:
    """The members of the object that begins at `at`."""
    reached = at + 1
    while text[start := _after_blank(text, reached)] != "}":
        key, stop = _DECODER.raw_decode(text, start)
        begin = _after_blank(text, _after_blank(text, stop) + 1)
        _, end = _DECODER.raw_decode(text, begin)
        yield _Member(reached, start, stop, begin, end, key)
        reached = _after_blank(text, end)
        reached += text[reached] == ","


def _after_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _unit(text: str) -> str | None:
    """What each level is indented by; None if the object is on one line."""
    at = text.index("{") + 1
    lead = text[at : _after_blank(text, at)]
    if text.startswith("}", at + len(lead)):
        return _INDENT
    return lead.rpartition("\n")[2] if "\n" in lead else None


def _written(value: Any, unit: str | None, depth: int, *, is_ascii: bool) -> str:  # noqa: ANN401 - as above
    """`value` as in an object at this `depth`."""
    text = json.dumps(value, indent=unit, ensure_ascii=is_ascii)
    return text if unit is None else text.replace("\n", "\n" + unit * depth)
