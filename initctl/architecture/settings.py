"""Other values for fields of a configuration, by dotted keys, and what has to follow them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from initctl.errors import Problem, UsageError, shown
from initctl.formats.config import Setting, holder_of, meant_field
from initctl.reshaping.settings import fields_beside, with_settings

_SIDE = re.compile(r"(?:encoder_|decoder_|mtp_)?")
"""The beginning of a field that is about only some of the layers. Those of `mtp` predict further tokens."""
_LAYERS = re.compile(rf"(?:num_|n_)?({_SIDE.pattern})(?:num_)?(?:hidden_)?layers?")
"""A number of layers, as `num_hidden_layers`, `n_layer`, `encoder_layers` or `num_decoder_layers`."""
_CODE = "usage.set"


Canonical = Callable[[str], str]
"""The name that a configuration has for the field that a dotted key names."""


def with_fields(
    config: Mapping[str, Any], fields: Mapping[str, Any], known: Collection[str], canonical: Canonical
) -> dict[str, Any]:
    """`config` with new values of `fields`, whose keys must be `known`.

    Lists of one item a layer follow the number of these layers, and the names of labels follow their number, unless
    they are given too. Raises `UsageError`.
    """
    settings = [Setting(tuple(canonical(key).split(".")), value) for key, value in _checked(fields, known).items()]
    found = with_settings(config, settings, code=_CODE)
    for keys, value in settings:
        was, layers = holder_of(config, keys).get(keys[-1]), _LAYERS.fullmatch(keys[-1])
        if layers and type(was) is int and type(value) is int:
            holder = holder_of(found, keys)
            _follow_layers(holder, was, value, _lists_of_layers(holder, layers[1]) - fields_beside(keys, settings))
    return found


def _checked(fields: Mapping[str, Any], known: Collection[str]) -> Mapping[str, Any]:
    for key in fields:
        if key not in known:
            raise UsageError(Problem(_CODE, f"the configuration has no field {shown(key)}", meant_field(key, known)))
    return fields


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
