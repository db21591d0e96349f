"""Other values for fields of a configuration, by dotted keys, and what has to follow them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from typing import Any

from initctl.errors import Problem, UsageError, shown
from initctl.reshaping.settings import LABELS, names_of_labels
from initctl.suggestions import nearest

_SIDE = re.compile(r"(?:encoder_|decoder_|mtp_)?")
"""The beginning of a field that is about only some of the layers. Those of `mtp` predict further tokens."""
_LAYERS = re.compile(rf"(?:num_|n_)?({_SIDE.pattern})(?:num_)?(?:hidden_)?layers?")
"""A number of layers, as `num_hidden_layers`, `n_layer`, `encoder_layers` or `num_decoder_layers`."""
_CODE = "usage.set"
_PROPOSED = 2


Canonical = Callable[[str], str]
"""The name that a configuration has for the field that a dotted key names."""


def with_settings(
    config: Mapping[str, Any], settings: Mapping[str, Any], known: Collection[str], canonical: Canonical
) -> dict[str, Any]:
    """`config` with the values of `settings`, whose keys must be `known`.

    Lists of one item a layer follow the number of these layers, and the names of labels follow their number, unless
    they are set too. Raises `UsageError`.
    """
    found: dict[str, Any] = deepcopy(dict(config))
    given = {canonical(key): value for key, value in _checked(settings, known).items()}
    for key, value in given.items():
        _set(found, config, key, value, given)
    return found


def _checked(settings: Mapping[str, Any], known: Collection[str]) -> Mapping[str, Any]:
    for key in settings:
        if key not in known:
            raise UsageError(Problem(_CODE, f"the configuration has no field {shown(key)}", _meant(key, known)))
    return settings


def _meant(key: str, known: Collection[str]) -> str | None:
    """A proposal for an unknown key: the same one of a part of the configuration, or a similar one."""
    inner = [name for name in known if name.endswith(f".{key}")][:_PROPOSED]
    found = inner or nearest(key, known)
    return f"did you mean {' or '.join(map(shown, found))}?" if found else None


def _set(found: dict[str, Any], old: Mapping[str, Any], key: str, value: object, given: Collection[str]) -> None:
    *above, last = key.split(".")
    before: Any = old
    for part in above:
        found = found.setdefault(part, {})
        before = before.get(part) if isinstance(before, dict) else None
        if not isinstance(found, dict):
            raise UsageError(Problem(_CODE, f"{shown(key)}: {shown(part)} has no fields"))
    prefix = key.removesuffix(last)
    was = before.get(last) if isinstance(before, dict) else None
    if type(was) is int and type(value) is int and (layers := _LAYERS.fullmatch(last)):
        lists = _lists_of_layers(found, layers[1]) - {name.removeprefix(prefix) for name in given}
        _follow_layers(found, was, value, lists)
    if last == LABELS and type(value) is int and value > 0:
        found.update(names_of_labels(found, value, {name.removeprefix(prefix) for name in given}))
    found[last] = value


def _lists_of_layers(config: Mapping[str, Any], side: str) -> set[str]:
    """The fields that may list the layers of one side, such as `encoder_`; "" is for a model without sides."""
    named = (name for name in config if "layer" in name and isinstance(config[name], list))
    return {name for name in named if (begin := _SIDE.match(name)) and begin[0] == side}


def _follow_layers(found: dict[str, Any], was: int, now: int, lists: Collection[str]) -> None:
    """Shorten each of `lists` that has an item for each of the layers. If there are more of them, leave the list out:
    the model's own class continues it.
    """
    for name in lists:
        if len(found[name]) == was:
            if now <= was:
                found[name] = found[name][:now]
            else:
                del found[name]
