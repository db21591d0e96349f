"""`config.json` beside a checkpoint: transformers writes a model's configuration there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from initctl.formats.opening import read_small, refusing
from initctl.formats.strict_json import parse_object

CONFIG = "config.json"
LONGEST = 10_000_000
"""Bytes."""


class Setting(NamedTuple):
    """A new value of one field, which `keys` lead to."""

    keys: tuple[str, ...]
    value: Any

    @property
    def key(self) -> str:
        return ".".join(self.keys)

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False)
        return f"{self.key}={value}"


def dotted(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each value in `table` and in its nested tables, with its dotted key, in order."""
    waiting = list(table.items())[::-1]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{name}.{key}", inner) for key, inner in reversed(value.items())]
        else:
            yield name, value


def read_config(directory: str) -> Mapping[str, Any] | None:
    """The content of `config.json` in `directory`; None if there is no such file. Raises `InputError`."""
    path = os.path.join(directory, CONFIG)
    return _content(path) if os.path.lexists(path) else None


def read_other_config(path: str) -> Mapping[str, Any]:
    """The content of another model's `config.json` at `path`, or in the directory `path`. Raises `InputError`."""
    return _content(os.path.join(path, CONFIG) if os.path.isdir(path) else path)


def _content(path: str) -> Mapping[str, Any]:
    with refusing(path, "config", "is not valid JSON", "mend it, or copy it from the model again"):
        return parse_object(read_small(path, LONGEST))
