"""`config.json` beside a checkpoint: transformers writes a model's configuration there."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from initctl.errors import shown
from initctl.formats.opening import is_folder, read_small, refusing, status_at
from initctl.formats.strict_json import parse_object
from initctl.suggestions import nearest

CONFIG = "config.json"
LONGEST = 10_000_000
"""Bytes."""
_PROPOSED = 2


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


def holder_of(config: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The object in `config` that holds the last of `keys`; an empty one if there is none."""
    found: Any = config
    for key in keys[:-1]:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def meant_field(key: str, known: Collection[str]) -> str | None:
    """A question that proposes `known` fields for an unknown dotted `key`: one inside an object, or a similar one."""
    inner = [name for name in known if name.endswith(f".{key}")][:_PROPOSED]
    found = inner or nearest(key, known)
    return f"did you mean {' or '.join(map(shown, found))}?" if found else None


def read_config(directory: str) -> Mapping[str, Any] | None:
    """The content of `config.json` in `directory`; None if there is no such file. Raises `InputError`."""
    path = os.path.join(directory, CONFIG)
    return read_config_file(path) if status_at(path, follow=False) else None


def read_other_config(path: str) -> Mapping[str, Any]:
    """The content of another model's `config.json` at `path`, or in the directory `path`. Raises `InputError`."""
    return read_config_file(os.path.join(path, CONFIG) if is_folder(path) else path)


def read_config_file(path: str) -> Mapping[str, Any]:
    """The content of the configuration in the file at `path`. Raises `InputError`."""
    with refusing(path, "config", "is not valid JSON", "mend it, or copy it from the model again"):
        return parse_config(read_small(path, LONGEST))


def parse_config(data: bytes) -> Mapping[str, Any]:
    """The content of a configuration. It may have `Infinity` and `NaN`, which Python writes. Raises `Malformed`."""
    return parse_object(data, allow_constants=True)
