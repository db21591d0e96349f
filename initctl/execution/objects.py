"""Which objects of a store a result becomes, in which order they become visible, and which are removed then.

A store replaces one object in one step, but not two. So a new directory is complete when the file is there that
readers begin with; and a directory that changes in place gets new files under new names, and then another index.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from initctl.errors import InitctlError, Problem, UncertainError, UsageError, listed, shown
from initctl.execution.content import Content
from initctl.formats.directories.index import LONGEST
from initctl.formats.directories.weight_names import DISTRIBUTED_METADATA, MARK, weight_name
from initctl.formats.opening import read_small
from initctl.formats.strict_json import parse_object
from initctl.formats.writing.formats import Layout
from initctl.grouping import grouped
from initctl.stores.places import place_of
from initctl.stores.requests import side_by_side

if TYPE_CHECKING:
    from initctl.execution.content import Draft
    from initctl.execution.destination import Destination
    from initctl.formats import Checkpoint
    from initctl.stores.store import Stored

_WEIGHT_MAP = "weight_map"


class Objects(NamedTuple):
    """The content of each new object, by the path of its mirror, in `groups`: those of one become visible when those of
    the groups before are. Then the objects at the paths `removed` are removed.
    """

    groups: Sequence[Mapping[str, Content]]
    removed: Sequence[str] = ()

    @classmethod
    def of(cls, checkpoint: Checkpoint, draft: Draft, place: Destination, mark: str) -> Objects:
        """What `draft`, a result of `checkpoint`, becomes at `place`. Shards that change in place get the `mark`, six
        hexadecimal digits, in their names.

        Raises `UsageError` if several objects would have to be replaced in one step.
        """
        if not place.is_directory:
            return cls([{place.path: content} for content in draft.contents.values()])
        if place.without is None:
            ordered = grouped((_rank(name), (os.path.join(place.path, name), c)) for name, c in draft.contents.items())
            return cls([dict(ordered[rank]) for rank in sorted(ordered)])
        found = _by_index(checkpoint, draft, mark)
        contents = {os.path.join(place.path, name): content for name, content in draft.contents.items()}
        if found is None and len(contents) > 1:
            raise _several(checkpoint, draft.contents)
        groups, removed = found or ([contents], ())
        return cls(groups, [os.path.join(place.path, name) for name in (*removed, *place.without)])

    def remove_old(self, target: str) -> None:
        """Remove what is replaced. Raises `UncertainError`, which names the `target`, if something is left."""
        places = [place for path in self.removed if (place := place_of(path)) and place.stored]
        try:
            side_by_side([partial(place.bucket.remove, cast("Stored", place.stored)) for place in places])
        except InitctlError as error:
            fault = f"{shown(target)}: is in place, but an old file could not be removed: {error}"
            raise UncertainError(Problem("storage.leftover", fault, "remove it")) from error


def _rank(name: str) -> int:
    """When a file of a new directory becomes visible: readers begin with an index, or else with weights."""
    base = os.path.basename(name)
    found = weight_name(base)
    return 2 if base == DISTRIBUTED_METADATA or (found and found.is_index) else 1 if found else 0


def _by_index(checkpoint: Checkpoint, draft: Draft, mark: str) -> tuple[list[dict[str, Content]], list[str]] | None:
    """Shards that change in place, under new names, then the index, which names them; and the old names. None without
    an index, or if a single file changes that is not a shard.

    Raises `UsageError` if other files change with shards.
    """
    index = checkpoint.described_by
    if index is None:
        return None
    home = os.path.dirname(index)
    document = dict(parse_object(read_small(os.path.join(checkpoint.directory, index), LONGEST)))
    shards = {os.path.normpath(os.path.join(home, shard)): shard for shard in document[_WEIGHT_MAP].values()}
    changed = {shards[name]: content for name, content in draft.contents.items() if name in shards}
    if not changed and len(draft.contents) <= 1:
        return None
    if len(changed) < len(draft.contents):
        raise _several(checkpoint, {index, *draft.contents.keys() - shards.keys()})
    new = {shard: _renamed(shard, mark) for shard in changed}
    document[_WEIGHT_MAP] = {tensor: new.get(shard, shard) for tensor, shard in document[_WEIGHT_MAP].items()}
    data = (json.dumps(document, indent=2) + "\n").encode()
    groups = [{os.path.join(home, new[shard]): content for shard, content in changed.items()}]
    groups.append({index: Content(Layout([(0, data)], {}, len(data)), 0)})
    paths = [{os.path.join(checkpoint.directory, name): content for name, content in one.items()} for one in groups]
    return paths, list(draft.contents)


def _renamed(shard: str, mark: str) -> str:
    """The new name of a shard that changes in place: `model-00001-of-00002.r1a2b3c.safetensors`."""
    stem, suffix = os.path.splitext(MARK.sub("", shard))
    return f"{stem}.r{mark}{suffix}"


def _several(checkpoint: Checkpoint, names: Iterable[str]) -> UsageError:
    named = listed([shown(name) for name in sorted(names)], at_most=5)
    fault = f"{shown(checkpoint.path)}: a store cannot replace several files in one step: {named}"
    return UsageError(Problem("output.steps", fault, "write to a new prefix with -o"))
