"""A directory of files that are still in a store, and of places where new ones will be.

Its files have the names, sizes and times of the objects, so that all questions about names are the system's to answer;
they are holes. No reader of this package can take a hole for values: it gets a descriptor for writing only, which
fetches.

A process has one such directory. Whoever asks for a URL again gets the same paths, which show what is there by now.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from atexit import register
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import InputError, Problem, StorageError, shown
from initctl.escaping import show_as
from initctl.stores.descriptors import forget, is_mirrored, mirror
from initctl.stores.places import mirror_bucket
from initctl.stores.store import opened_store
from initctl.stores.url import Url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from initctl.stores.store import Store, Stored

_MOST = 10_000
"""Objects of a directory."""
_NOTES = "/.initctl-"
"""The beginning of the folder in which parts leave notes for each other."""


class _Top(NamedTuple):
    """The mirror of a bucket: its directory, and the directory of what is read of headers."""

    path: str
    kept: str
    store: Store


_tops: dict[tuple[int, str, str], _Top] = {}
"""The buckets that are mirrored, by process, scheme and name."""
_one_at_a_time = RLock()
"""A thread changes the mirrors at a time."""


def _forked() -> None:
    """Begin with a lock of its own in a process that was forked: a thread that is not here may hold the old one."""
    global _one_at_a_time
    _one_at_a_time = RLock()


os.register_at_fork(after_in_child=_forked)


def mirrored(url: Url) -> str:
    """The path of the mirror of `url`: a file, if there is an object of this name, or else a directory.

    The file's folder is mirrored too, without its folders. Raises `InputError` if nothing is there, and what a `Store`
    raises.
    """
    with _one_at_a_time:
        top = _top(url)
        found = top.store.find(url.key) if url.key else None
        folder = os.path.dirname(url.key) if found else url.key
        objects = _listed(top.store, _prefix(folder), url, is_deep=found is None)
        if found is None and not objects:
            raise InputError(Problem("file.missing", f"{shown(url)}: no object has this name, and none is below it"))
        if found and found not in objects:  # there are more objects than are mirrored
            objects.append(found)
        home = _path(top, folder)
        _clear(home, {_path(top, stored.name) for stored in objects}, is_deep=found is None)
        _show(top, url, objects, named=found)
        return os.path.join(home, os.path.basename(url.key)) if found else home


def mirrored_place(text: str) -> str:
    """The path of the mirror of the URL `text`, where a result will be: what is there already is mirrored.

    Raises `UsageError` for a URL that is not allowed, and `StorageError` if the store refuses it.
    """
    url = Url.parse(text)
    try:
        with _one_at_a_time:
            return _place(url) + ("/" if text.endswith("/") else "")
    except InputError as error:
        raise StorageError(*error.problems) from None


def _place(url: Url) -> str:
    top = _top(url)
    found = top.store.find(url.key) if url.key else None
    home = _path(top, url.key)
    if found:
        _show(top, url, [found])
        return home
    objects = _listed(top.store, _prefix(url.key), url, is_deep=True)
    _clear(home, {_path(top, stored.name) for stored in objects}, is_deep=True)
    _show(top, url, objects)
    with _naming(top.path, url, url.key):
        os.makedirs(os.path.dirname(home), exist_ok=True)
    return home


def _top(url: Url) -> _Top:
    """The mirror of the bucket of `url` as it is now. Processes that were forked make one of their own."""
    key = (os.getpid(), url.scheme, url.bucket)
    if key in _tops:
        _tops[key] = _tops[key]._replace(store=_tops[key].store.now())
    else:
        store = opened_store(url)
        directory = _new_directory(url)
        register(_remove, directory, os.getpid())
        path = os.path.join(directory, f"{url.scheme}:", url.bucket)
        with _naming(directory, url, url.bucket):
            os.makedirs(path)
        show_as(path, f"{url.scheme}://{url.bucket}")
        _tops[key] = _Top(path, os.path.join(directory, "kept"), store)
    mirror_bucket(_tops[key].path, _tops[key].store)
    return _tops[key]


def _new_directory(url: Url) -> str:
    try:
        return os.path.realpath(tempfile.mkdtemp(prefix="initctl-"))
    except OSError as error:
        fault = f"{shown(url)}: no directory for temporary files can be made: {error.strerror}"
        raise StorageError(Problem("storage.failed", fault, "set TMPDIR to another directory")) from error


def _path(top: _Top, key: str) -> str:
    return os.path.join(top.path, *key.split("/")) if key else top.path


def _prefix(folder: str) -> str:
    return f"{folder}/" if folder else ""


def _listed(store: Store, prefix: str, url: Url, *, is_deep: bool) -> list[Stored]:
    """The objects below `prefix`, without the notes of parts. Names that end in `/` are what some programs write for a
    folder.
    """
    found = []
    for stored in store.below(prefix, is_deep=is_deep):
        if not stored.name.endswith("/") and _NOTES not in f"/{stored.name}":
            found.append(stored)
        if len(found) > _MOST and not is_deep:
            break  # enough to see what is beside the file
        if len(found) > _MOST:
            fault = f"{shown(url)}: there are more than {_MOST:,} objects below it"
            raise InputError(Problem("store.many", fault, "name a folder with one checkpoint"))
    return found


def _show(top: _Top, url: Url, objects: Sequence[Stored], named: Stored | None = None) -> None:
    """Let the mirror show `objects`, besides what it shows already; but leave out those whose names no file can have if
    only `named` matters.
    """
    for stored in objects:
        try:
            _show_one(top, url, stored)
        except InputError:
            if named in (None, stored):
                raise


def _show_one(top: _Top, url: Url, stored: Stored) -> None:
    path = os.path.join(top.path, stored.name)
    if not _is_plain(stored.name):
        raise _odd(url, stored.name)
    with _naming(top.path, url, stored.name):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not is_mirrored(path):
            with open(path, "xb"):
                pass
        mirror(path, stored, top.store, top.kept)


@contextmanager
def _naming(path: str, url: Url, name: str) -> Iterator[None]:
    """The body makes the object `name` a file below `path`, or its folder."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError, ValueError):
        raise _odd(url, name) from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _odd(url, name) from None
        fault = f"{shown(path)}: the names of objects cannot be written there: {error.strerror}"
        raise StorageError(Problem("storage.failed", fault, "set TMPDIR to another directory")) from error


def _clear(home: str, here: Iterable[str], *, is_deep: bool) -> None:
    """Remove the files at `home` that are not in `here`; and, if it `is_deep`, below it, with folders that are empty
    then.
    """
    if os.path.isfile(home):
        forget(home)
        os.unlink(home)
    for parent, _, names in os.walk(home, topdown=False) if is_deep else [next(os.walk(home), (home, [], []))]:
        for path in {os.path.join(parent, name) for name in names}.difference(here):
            forget(path)
            os.unlink(path)
        if is_deep and not os.listdir(parent):
            os.rmdir(parent)


def _remove(directory: str, process: int) -> None:
    """Remove a mirror at the end of the `process` that made it; processes that were forked from it leave it alone."""
    if os.getpid() == process:
        shutil.rmtree(directory, ignore_errors=True)


def _is_plain(name: str) -> bool:
    return not {"", ".", ".."}.intersection(name.split("/"))


def _odd(url: Url, name: str) -> InputError:
    fault = f"{shown(url)}: {shown(name)} cannot be the name of a file, or names a file and a folder"
    return InputError(Problem("store.name", fault, "name a folder without it"))
