"""New values of fields of `config.json`, by dotted keys."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from initctl.errors import Problem, UsageError, shown
from initctl.formats.config import CONFIG, Setting

Keys = tuple[str, ...]
"""The keys that lead to a field."""
MOST_LABELS = 1_000_000
LABELS, NAMES, NUMBERS = "num_labels", "id2label", "label2id"
"""Fields of transformers: the number of labels, the name of each by its number, and its number by its name."""
CODE = "usage.set_config"
_WRITE = "write KEY=VALUE, such as num_labels=5"


def settings_of(given: Mapping[str, object]) -> tuple[Setting, ...]:
    """The settings that a caller gives, by dotted keys. Raises `UsageError`."""
    return tuple(setting(tuple(key.split(".")), value) for key, value in given.items())


def setting(keys: Keys, value: object) -> Setting:
    """A new `value` of the field that `keys` lead to. Raises `UsageError` if a key is empty, or if JSON cannot hold the
    value.
    """
    if not all(keys):
        raise UsageError(Problem(CODE, f"set-config: {shown('.'.join(keys))} is not the key of a field", _WRITE))
    try:
        text = json.dumps([*keys, value], allow_nan=False, ensure_ascii=False)
        text.encode()  # half a surrogate pair is not valid text
        return Setting(keys, json.loads(text)[-1])
    except RecursionError:
        raise UsageError(Problem(CODE, f"set-config: {shown('.'.join(keys))}: is nested too deeply")) from None
    except (TypeError, ValueError) as error:
        fault = f"set-config: {shown('.'.join(keys))}: {shown(value)} cannot be written as JSON: {shown(error)}"
        raise UsageError(Problem(CODE, fault)) from None


def with_settings(
    config: Mapping[str, Any], settings: Iterable[Setting], *, code: str = CODE, follow: bool = True
) -> dict[str, Any]:
    """`config` with new values. If the number of labels is among them, their names `follow`, unless they are given too.

    Raises `UsageError`, with this `code`, if a key leads through a field that is not an object.
    """
    settings = tuple(settings)
    found: dict[str, Any] = deepcopy(dict(config))
    for keys, value in settings:
        _holder(found, keys, code)[keys[-1]] = value
    for keys, value in settings if follow else ():
        if keys[-1] == LABELS and type(value) is int and value > 0:
            holder = _holder(found, keys, code)
            holder.update(names_of_labels(holder, value, fields_beside(keys, settings)))
    return found


def fields_beside(keys: Keys, settings: Iterable[Setting]) -> set[str]:
    """The names of the fields that `settings` change, wholly or inside, in the object that holds the last of `keys`."""
    *above, _ = keys
    depth = len(above)
    return {other.keys[depth] for other in settings if len(other.keys) > depth and [*other.keys[:depth]] == above}


def _holder(config: dict[str, Any], keys: Keys, code: str) -> dict[str, Any]:
    """The object in `config` that holds the last of `keys`. Those that are missing are added."""
    found = config
    for depth, key in enumerate(keys[:-1], start=1):
        found = found.setdefault(key, {})
        if not isinstance(found, dict):
            field, part = shown(".".join(keys)), shown(".".join(keys[:depth]))
            raise UsageError(Problem(code, f"{CONFIG}: {part} has no fields, so {field} cannot be set"))
    return found


def names_of_labels(config: Mapping[str, Any], count: int, given: Collection[str]) -> Iterator[tuple[str, Any]]:
    """The names of `count` labels, if the configuration names labels: old names stay, new ones are as transformers
    calls them. Names that are `given` stay. Raises `UsageError` if there are far too many.
    """
    names, numbers = config.get(NAMES), config.get(NUMBERS)
    if count > MOST_LABELS:
        fault = f"{LABELS}={count}: more than {MOST_LABELS:,} labels cannot be named"
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
