"""Write a result to a store in which several files change in one step: to local files first, then as one commit."""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from initctl.commit.failure import storage_errors
from initctl.commit.new_files import NewDirectory
from initctl.stores.places import place_in_store
from initctl.undisturbed import undisturbed

if TYPE_CHECKING:
    from initctl.execution.content import Draft
    from initctl.execution.destination import Destination
    from initctl.execution.writer import Writer
    from initctl.stores.store import History

_TITLE = "Initialize tensors with initctl"


def commit(writer: Writer, draft: Draft, place: Destination, store: History) -> None:
    """Write the files of `draft` to `place`, in `store`.

    Raises `InputError` if the input is damaged, `StorageError` if the disk is too full for temporary files or the store
    refuses the commit, `ConflictError` if the input or the store changed meanwhile, and `UncertainError` if the store
    did not say whether it made the commit.
    """
    with storage_errors(place.path), TemporaryDirectory(prefix="initctl-") as temporary:
        directory = NewDirectory(temporary, place.path)
        made = [(content, directory.file(name)) for name, content in draft.contents.items()]
        writer.write_files(draft, made, os.path.join(temporary, "result"))
        names = [_name(place, name) for name in draft.contents]
        files = {name: new.path for name, (_, new) in zip(names, made, strict=True)}
        change = store.change(files, [_name(place, name) for name in place.without or ()], _TITLE)
        change.upload()
        writer.check_unchanged(draft)
        with undisturbed():
            change.commit()
            writer.committed()


def _name(place: Destination, name: str) -> str:
    """The name in the store of the file `name` of a result at `place`."""
    path = os.path.join(place.path, name) if place.is_directory else place.path
    return place_in_store(path).name
