"""Paths that mirror what is in a store, or will be there."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from initctl.stores.descriptors import seen
from initctl.stores.store import Place

if TYPE_CHECKING:
    from initctl.stores.store import Store

_tops: dict[str, Store] = {}
"""The buckets that are mirrored, by the directories of their mirrors."""


def mirror_bucket(top: str, store: Store) -> None:
    """Let paths below the directory `top` be places in `store`."""
    _tops[top] = store


def place_of(path: str) -> Place | None:
    """The place in a store that `path`, a real path, mirrors; None if it is a file's."""
    for top, store in _tops.items():
        if path == top or path.startswith(f"{top}/"):
            return Place(store, path[len(top) + 1 :], seen(path))
    return None


def place_in_store(path: str) -> Place:
    """The place in a store that `path` mirrors: it must mirror one."""
    return cast("Place", place_of(path))
