"""Fields of a configuration on a command line: `KEY=VALUE,KEY=VALUE`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from initctl.errors import Problem, UsageError, shown

_ENDED = re.compile(r"\s*(?:,|$)")
_NEXT = re.compile(r",\s*(?=[\w.-]+=)")
"""A comma that another field follows."""
_JSON = ("{", "[", '"')
"""What JSON begins with, and other text seldom."""
_QUOTED = "text that begins like JSON needs quotes of its own: KEY='\"[text]\"'"


def fields_by_key(option: str, texts: Iterable[str]) -> dict[str, Any]:
    """The fields in all `texts` of an `option`, such as `set-config`, by their dotted keys; the last of a key counts.

    A value is JSON, or else the text up to the next field. Raises `UsageError`, also for text that begins like JSON.
    """
    return {key: value for text in texts for key, value in _fields(option, text)}


def _fields(option: str, text: str) -> Iterator[tuple[str, Any]]:
    code, rest = f"usage.{option.replace('-', '_')}", text
    while rest:
        key, equals, after = rest.partition("=")
        if not equals or not key.strip():
            fault = f"{option}: {shown(rest)} is not KEY=VALUE"
            raise UsageError(Problem(code, fault, "write KEY=VALUE, such as num_labels=5"))
        try:
            value, rest = _json(after.lstrip()) if after.lstrip().startswith(_JSON) else _word(after)
        except ValueError as error:
            fault = f"{option}: {shown(key.strip())}: is not valid JSON: {error}"
            raise UsageError(Problem(code, fault, _QUOTED)) from None
        yield key.strip(), value


def _json(text: str) -> tuple[Any, str]:
    """The value that `text` begins with, and what follows its comma. Raises `ValueError`."""
    from initctl.formats.strict_json import parse_first

    value, end = parse_first(text)
    if not (ended := _ENDED.match(text, end)):
        raise ValueError("more text follows it")
    return value, text[ended.end() :]


def _word(text: str) -> tuple[Any, str]:
    """The number, true, false, null or other text that `text` begins with, and what follows its comma. Raises
    `ValueError` if a number is too long.
    """
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError:
        pass
    except ValueError:
        raise ValueError("a number has too many digits") from None
    else:
        if ended := _ENDED.match(text, end):
            return value, text[ended.end() :]
    word, *others = _NEXT.split(text, maxsplit=1)
    return word, others[0] if others else ""
