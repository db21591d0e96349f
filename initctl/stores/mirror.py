"""A directory of files that are still in a store.

Its files have the names, sizes and times of the objects, so that all questions about names are the system's to answer;
they are holes. No reader of this package can take a hole for values: it gets a descriptor for writing only, which
fetches.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from atexit import register
from typing import TYPE_CHECKING

from initctl.errors import InputError, Problem, StorageError, shown
from initctl.escaping import show_as
from initctl.stores.descriptors import mirror
from initctl.stores.store import opened_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.stores.store import Store, Stored
    from initctl.stores.url import Url

_MOST = 10_000
"""Objects of a directory."""


def mirrored(url: Url) -> str:
    """The path of the mirror of `url`: a file, if there is an object of this name, or else a directory.

    The file's folder is mirrored too, without its folders. Raises `InputError` if nothing is there, and what a `Store`
    raises.
    """
    store = opened_store(url)
    found = store.find(url.key) if url.key else None
    folder = os.path.dirname(url.key) if found else url.key
    prefix = f"{folder}/" if folder else ""
    objects = _listed(store, prefix, url, is_deep=found is None)
    if found is None and not objects:
        raise InputError(Problem("file.missing", f"{shown(url)}: no object has this name, and none is below it"))
    home = _made(store, url, objects, folder)
    return os.path.join(home, os.path.basename(url.key)) if found else home


def _listed(store: Store, prefix: str, url: Url, *, is_deep: bool) -> list[Stored]:
    """The objects below `prefix`. Names that end in `/` are what some programs write for a folder."""
    found = []
    for stored in store.below(prefix, is_deep=is_deep):
        if not stored.name.endswith("/"):
            found.append(stored)
        if len(found) > _MOST and not is_deep:
            break  # enough to see what is beside the file
        if len(found) > _MOST:
            fault = f"{shown(url)}: there are more than {_MOST:,} objects below it"
            raise InputError(Problem("store.many", fault, "name a folder with one checkpoint"))
    return found


def _made(store: Store, url: Url, objects: Sequence[Stored], folder: str) -> str:
    """Make the mirror of `objects`, and return the path of `folder` in it."""
    directory = os.path.realpath(tempfile.mkdtemp(prefix="initctl-"))
    register(_remove, directory, os.getpid())
    top = os.path.join(directory, f"{url.scheme}:", url.bucket)
    show_as(top, f"{url.scheme}://{url.bucket}")
    home = os.path.join(top, *folder.split("/")) if folder else top
    for stored in objects:
        path = os.path.join(top, stored.name)
        if not _is_plain(stored.name):
            raise _odd(url, stored.name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb"):
                mirror(path, stored, store, os.path.join(directory, "kept", stored.name))
        except (FileExistsError, NotADirectoryError, IsADirectoryError, ValueError):
            raise _odd(url, stored.name) from None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise _odd(url, stored.name) from None
            fault = f"{shown(directory)}: the names of objects cannot be written there: {error.strerror}"
            raise StorageError(Problem("storage.failed", fault)) from error
    return home


def _remove(directory: str, process: int) -> None:
    """Remove a mirror at the end of the `process` that made it; processes that were forked from it leave it alone."""
    if os.getpid() == process:
        shutil.rmtree(directory, ignore_errors=True)


def _is_plain(name: str) -> bool:
    return not {"", ".", ".."}.intersection(name.split("/"))


def _odd(url: Url, name: str) -> InputError:
    fault = f"{shown(url)}: {shown(name)} cannot be the name of a file, or names a file and a folder"
    return InputError(Problem("store.name", fault, "name a folder without it"))
