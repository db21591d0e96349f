"""New values of fields of `config.json`, by dotted keys."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from initctl.errors import Problem, UsageError, shown
from initctl.formats.config import Setting

Keys = tuple[str, ...]
"""The keys that lead to a field."""
_MOST_LABELS = 1_000_000
LABELS, NAMES, NUMBERS = "num_labels", "id2label", "label2id"
"""Fields of transformers: the number of labels, the name of each by its number, and its number by its name."""
_CODE = "usage.set_config"
_WRITE = "write KEY=VALUE, such as num_labels=5"


def settings_of(given: Mapping[str, object]) -> tuple[Setting, ...]:
    """The settings that a caller gives, by dotted keys. Raises `UsageError`."""
    return tuple(setting(tuple(key.split(".")), value) for key, value in given.items())


def setting(keys: Keys, value: object) -> Setting:
    """Raises `UsageError` if the key is empty, or if JSON cannot hold the value."""
    if not all(keys):
        raise UsageError(Problem(_CODE, f"set-config: {shown('.'.join(keys))} is not the key of a field", _WRITE))
    try:
        text = json.dumps([*keys, value], allow_nan=False, ensure_ascii=False)
        text.encode()  # half a surrogate pair is not valid text
        return Setting(keys, json.loads(text)[-1])
    except (TypeError, ValueError) as error:
        fault = f"set-config: {shown('.'.join(keys))}: {shown(value)} cannot be written as JSON: {shown(error)}"
        raise UsageError(Problem(_CODE, fault)) from None


def with_settings(config: Mapping[str, Any], settings: Iterable[Setting], *, follow: bool = True) -> dict[str, Any]:
    """`config` with new values. If the number of labels is among them, their names `follow`, unless they are given too.

    Raises `UsageError` if a key leads through a field that is not an object.
    """
    settings = tuple(settings)
    found: dict[str, Any] = deepcopy(dict(config))
    for keys, value in settings:
        _inner(found, keys)[keys[-1]] = value
    for keys, value in settings if follow else ():
        if keys[-1] == LABELS and type(value) is int and value > 0:
            parent = _inner(found, keys)
            given = {other.keys[len(keys) - 1] for other in settings if other.keys[: len(keys) - 1] == keys[:-1]}
            parent.update(names_of_labels(parent, value, given))
    return found


def _inner(config: dict[str, Any], keys: Keys) -> dict[str, Any]:
    """The object that holds the last of `keys`."""
    found = config
    for depth, key in enumerate(keys[:-1], start=1):
        found = found.setdefault(key, {})
        if not isinstance(found, dict):
            fault = f"set-config: {shown('.'.join(keys))}: {shown('.'.join(keys[:depth]))} has no fields"
            raise UsageError(Problem(_CODE, fault))
    return found


def names_of_labels(config: Mapping[str, Any], count: int, given: Collection[str]) -> Iterator[tuple[str, Any]]:
    """The names of `count` labels, if the configuration names labels: old names stay, new ones are as transformers
    calls them. Names that are `given` stay. Raises `UsageError` if there are far too many.
    """
    names, numbers = config.get(NAMES), config.get(NUMBERS)
    if count > _MOST_LABELS:
        fault = f"{LABELS}={count}: more than {_MOST_LABELS:,} labels cannot be named"
        raise UsageError(Problem("config.labels", fault))
    if isinstance(names, dict) and NAMES not in given and len(names) != count:
        names = {str(number): names.get(str(number), f"LABEL_{number}") for number in range(count)}
        yield NAMES, names
    if isinstance(numbers, dict) and NUMBERS not in given and len(numbers) != count and isinstance(names, dict):
        yield NUMBERS, {str(name): int(number) for number, name in names.items() if number.isdecimal()}


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any], above: Keys = ()) -> Iterator[Setting]:
    """The settings that lead from one configuration to another, which has all its fields: as few as possible."""
    for key, value in new.items():
        keys = (*above, key)
        if key not in old:
            yield Setting(keys, value)
        elif isinstance(value, dict) and isinstance(old[key], dict) and old[key].keys() <= value.keys():
            yield from changed_fields(old[key], value, keys)
        elif json.dumps(old[key], sort_keys=True) != json.dumps(value, sort_keys=True):
            yield Setting(keys, value)
