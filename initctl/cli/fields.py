"""Fields of a configuration on a command line: `KEY=VALUE,KEY=VALUE`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from initctl.errors import Problem, UsageError, shown

_ENDED = re.compile(r"\s*(?:,|$)")
_NEXT = re.compile(r",(?=[\w.-]+=)")
"""A comma that another field follows."""


def fields_by_key(option: str, texts: Iterable[str]) -> dict[str, Any]:
    """The fields in all `texts` of an `option`, such as `set-config`, by their dotted keys; the last of a key counts.

    A value is JSON, or else the text up to the next field. Raises `UsageError`.
    """
    return {key: value for text in texts for key, value in _fields(option, text)}


def _fields(option: str, text: str) -> Iterator[tuple[str, Any]]:
    rest = text
    while rest:
        key, equals, after = rest.partition("=")
        if not equals or not key.strip():
            code, fault = f"usage.{option.replace('-', '_')}", f"{option}: {shown(rest)} is not KEY=VALUE"
            raise UsageError(Problem(code, fault, "write KEY=VALUE, such as num_labels=5"))
        value, rest = _value(after)
        yield key.strip(), value


def _value(text: str) -> tuple[Any, str]:
    """The value at the beginning of `text`, and what follows its comma."""
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        pass
    else:
        if ended := _ENDED.match(text, end):
            return value, text[ended.end() :]
    word, *others = _NEXT.split(text, maxsplit=1)
    return word, others[0] if others else ""
