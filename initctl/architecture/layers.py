"""Fields that follow the number of layers: lists whose names say so, and what the class of a configuration makes from
this number.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.formats.config import Setting, holder_of
from initctl.reshaping.settings import fields_beside

if TYPE_CHECKING:
    from initctl.architecture.kinds import Kind

_LAYER = "layer"
"""A part of the name of every field that is a number of layers, or a list of one item a layer."""
_SIDE = re.compile(r"(?:encoder_|decoder_|mtp_)?")
"""The beginning of a field that is about only some of the layers. Those of `mtp` predict further tokens."""
_OF_SIDE = re.compile(rf"(?:num_|n_)?({_SIDE.pattern})(?:num_)?(?:hidden_)?layers?")
"""A number of all layers of one side, as `num_hidden_layers`, `n_layer`, `encoder_layers` or `num_decoder_layers`."""
_ALIKE = {"out_features": "out_indices", "out_indices": "out_features"}
"""Two fields that name the same layers of a backbone: if one is set, the class derives the other."""


class _Change(NamedTuple):
    """A number of layers, the field `name`, that was one and is another one now."""

    name: str
    was: int
    now: int


def with_layers(
    config: Mapping[str, Any], old: Mapping[str, Any], settings: Mapping[str, Any], kind: Kind
) -> dict[str, Any]:
    """`config`, which is `old` with new values in `settings`, with what follows from new numbers of layers.

    A list of one item a layer is cut if there are fewer layers. Other fields with the value that the class derives from
    the old number, such as the name of the last layer, are left out: the class derives them from the new number. A list
    with other values is continued if all its items are equal, and else left out. Fields in `settings` stay.
    """
    found = deepcopy(dict(config))
    given = [Setting(tuple(kind.canonical(key).split(".")), value) for key, value in settings.items()]
    for keys, now in given:
        (*above, name), kept = keys, fields_beside(keys, given)
        holder, was = holder_of(found, keys), holder_of(old, keys).get(name)
        if _LAYER in name and type(was) is int and type(now) is int and was != now:
            _follow(holder, kind.part(above, old), _Change(name, was, now), kept)
        if (other := _ALIKE.get(name)) and other not in kept:
            holder.pop(other, None)
    return found


def _follow(config: dict[str, Any], config_class: Any, change: _Change, kept: Collection[str]) -> None:  # noqa: ANN401
    """Change the fields of `config` that depend on the number of layers, except those to be `kept`."""
    lists = _named_lists(config, change) - set(kept)
    for field, one, more in _derived(config_class, change):
        value = config.get(field)
        if field not in config or field in kept:
            continue
        is_list = _is_one_longer(more, one) and isinstance(value, list) and len(value) == len(one)
        if value == one and not (is_list and change.now < change.was):
            del config[field]
            lists.discard(field)
        elif is_list:
            lists.add(field)
    for field in lists:
        _resize(config, field, len(config[field]) + change.now - change.was)


def _is_one_longer(more: Any, one: Any) -> bool:  # noqa: ANN401
    return isinstance(more, list) and isinstance(one, list) and len(more) == len(one) + 1


def _named_lists(config: Mapping[str, Any], change: _Change) -> set[str]:
    """The lists with one item for each of the layers, and with a name that says so."""
    if not (layers := _OF_SIDE.fullmatch(change.name)):
        return set()
    lists = (name for name, value in config.items() if isinstance(value, list) and len(value) == change.was)
    return {name for name in lists if _LAYER in name and (begin := _SIDE.match(name)) and begin[0] == layers[1]}


def _resize(config: dict[str, Any], field: str, length: int) -> None:
    """Cut or continue the list `field` to `length`, or leave it out if it is not known how it goes on."""
    value = config[field]
    if length <= len(value):
        config[field] = value[:length]
    elif all(item == value[0] for item in value):
        config[field] = value[:1] * length
    else:
        del config[field]


def _derived(config_class: Any, change: _Change) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401
    """The fields whose default depends on the number of layers, with the value for the old number and for one more."""
    if config_class is None:
        return
    made = []
    with suppress(Exception):  # a class may refuse such a number: then nothing is known of it
        made = [config_class(**{change.name: count}).to_dict() for count in (change.was, change.was + 1)]
    if made:
        one, more = made
        yield from ((name, one[name], more[name]) for name in one if name in more and one[name] != more[name])
