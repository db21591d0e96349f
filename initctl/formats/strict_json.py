"""JSON from unchecked files. Refuses some texts that Python's parser accepts and a checkpoint must not contain."""

from __future__ import annotations

import json
import math
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from initctl.errors import shown
from initctl.formats.opening import Malformed


def parse_object(
    data: bytes,
    made: Callable[[dict[str, Any]], Any] | None = None,
    *,
    allow_constants: bool = False,
    allow_surrogates: bool = False,
) -> dict[str, Any]:
    """The object in `data`, JSON in UTF-8. Raises `Malformed`.

    If `made` is given, each object is replaced with what it returns for it, inner objects first.

    Refuses, besides broken syntax: a name twice in one object, numbers that are too large, nesting too deep for the
    parser, a byte-order mark, and anything but an object at the top. Also NaN, Infinity and -Infinity, which are not
    JSON, unless `allow_constants`; and halves of surrogate pairs unless `allow_surrogates`: Python writes a path so
    whose bytes are not UTF-8.
    """
    if data.startswith(BOM_UTF8):
        raise Malformed("begins with a byte-order mark")
    may_have_some = b"\\ud" in data or b"\\uD" in data
    checked = _without_surrogates if may_have_some and not allow_surrogates else _without_duplicates
    pairs = checked if made is None else lambda found: made(checked(found))
    constant = float if allow_constants else _no_constant
    with _refusing():
        text = data.decode("utf-8")
        del data  # frees its memory, if the caller has no reference to it either
        value = json.loads(text, object_pairs_hook=pairs, parse_float=_finite, parse_constant=constant)
    if not isinstance(value, dict):
        raise Malformed("not a JSON object")
    return value


def parse_first(text: str) -> tuple[Any, int]:
    """The value that `text` begins with, as JSON, and where it ends. Refuses what `parse_object` refuses inside of it;
    raises `Malformed`.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_without_surrogates, parse_float=_finite, parse_constant=_no_constant)
    with _refusing():
        return decoder.raw_decode(text)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what Python's parser raises into `Malformed`."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise Malformed(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        fault = error.msg.removesuffix(" at")
        raise Malformed(f"{fault} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise Malformed("nested too deeply") from None
    except Malformed:
        raise
    except ValueError:
        raise Malformed("a number has too many digits") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise Malformed(f"the name {shown(twice)} appears twice")
    return result


def _without_surrogates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The same for JSON that may contain halves of surrogate pairs, written as escapes."""
    result = _without_duplicates(pairs)
    for text in (text for pair in pairs for text in pair if isinstance(text, str)):
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            raise Malformed(f"{shown(text)} contains half a surrogate pair")
    return result


def _no_constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Malformed("a number is too large")
    return value
