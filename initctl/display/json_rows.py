"""JSON that people can read and that tools compare line by line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

_AT_ONCE = 1000
"""Rows that are written at once: the more, the faster, and each may take some kB."""


class Rows:
    """A list of objects that are made each time they are asked for, so that memory need not hold them."""

    def __init__(self, made: Callable[[], Iterable[dict[str, Any]]]) -> None:
        self._made = made

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._made())


def with_lists(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """`value` with lists in the place of `Rows`."""
    if isinstance(value, dict):
        return {key: with_lists(item) for key, item in value.items()}
    return list(value) if isinstance(value, Rows) else value


def as_json(value: object) -> str:
    """`value` as JSON in ASCII. Each row of a list of objects, such as a tensor, is one line."""
    return "".join(json_parts(value))


def json_parts(value: object, margin: str = "\n") -> Iterator[str]:
    """The same in parts, on lines after `margin`: of many rows, some at a time."""
    inner, opening = f"{margin}  ", "{"
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield f"{opening}{inner}{json.dumps(key)}: "
            yield from json_parts(item, inner)
            opening = ","
        yield f"{margin}}}"
    elif isinstance(value, Rows) or (isinstance(value, list) and value and isinstance(value[0], dict)):
        yield from _rows(iter(value), margin)
    else:
        yield json.dumps(value, allow_nan=False)


def _rows(rows: Iterator[object], margin: str) -> Iterator[str]:
    inner, opening = f"{margin}  ", "["
    while batch := list(islice(rows, _AT_ONCE)):
        text = json.dumps(batch, allow_nan=False)[1:-1]
        lines = text.replace('}, {"', f'}},{inner}{{"')  # not found in a string, which has \" for "
        yield f"{opening}{inner}{lines}"
        opening = ","
    yield "[]" if opening == "[" else f"{margin}]"
