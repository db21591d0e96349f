"""The contents of a folder: the names directly in it, and all files below, if a copy needs them."""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from initctl.errors import shown
from initctl.formats.checkpoint_file import CheckpointFile
from initctl.formats.opening import entries_of, status_at, unreadable
from initctl.hub_cache import in_hub_cache
from initctl.system_errors import is_absent
from initctl.traces import is_kept


class Folder(NamedTuple):
    """The names directly in a folder, sorted: its files, its folders, and other entries, which initctl ignores."""

    files: tuple[str, ...]
    folders: tuple[str, ...]
    left_out: tuple[str, ...]


class Below(NamedTuple):
    """Everything below a directory, sorted by relative name: the files, and the entries that a copy leaves out."""

    files: tuple[CheckpointFile, ...]
    left_out: tuple[str, ...]


def read_folder(folder: str, directory: str) -> Folder:
    """The entries directly in `folder`, which is `directory` or below it. Raises `InputError` if it cannot be read.

    A link to a file in `directory`, a real path, counts as this file. All other links are left out: those that leave
    the directory, those to folders, which may lead in a circle, and broken ones. So are pipes, sockets and devices, and
    an old directory that a run has kept beside its result.
    """
    files: list[str] = []
    folders: list[str] = []
    left_out: list[str] = []
    for entry in entries_of(folder):
        if entry.is_dir(follow_symlinks=False):
            (left_out if is_kept(entry.name) else folders).append(entry.name)
        else:
            is_file = entry.is_file(follow_symlinks=False) or _status(entry, directory)
            (files if is_file else left_out).append(entry.name)
    return Folder(tuple(sorted(files)), tuple(sorted(folders)), tuple(sorted(left_out)))


def files_below(directory: str) -> Below:
    """Everything below `directory`, a real path; `read_folder` says which links count. Raises `InputError`."""
    files: list[CheckpointFile] = []
    left_out: list[str] = []
    folders = [""]
    while folders:
        prefix = folders.pop()
        for entry in entries_of(os.path.join(directory, prefix)):
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False) and not is_kept(entry.name):
                folders.append(f"{name}/")
            elif status := _status(entry, directory):
                files.append(CheckpointFile.of(name, status))
            else:
                left_out.append(name)
    return Below(tuple(sorted(files, key=lambda file: file.name)), tuple(sorted(left_out)))


def status_within(path: str, directory: str) -> os.stat_result | None:
    """The status of the regular file at `path`, a name in `directory`, after following links.

    None if there is no such file, or if it is outside of the directory; links into Hugging Face's cache are allowed.
    The status belongs to the resolved path that was checked. If somebody changes the link afterwards, it leads to a
    file with another status.
    """
    try:
        real = os.path.realpath(path, strict=True)
    except OSError as error:
        if is_absent(error) or error.errno == errno.EACCES:  # it is broken, or in a folder that may not be entered
            return None
        raise unreadable(path, error) from None
    return _regular(real) if is_within(real, directory) else None


def is_within(path: str, directory: str) -> bool:
    """Whether `path` is in `directory`, or in Hugging Face's cache. Both are real paths."""
    return os.path.commonpath([path, directory]) == directory or in_hub_cache(path)


def plain_name(name: str) -> tuple[str, str] | None:
    """None if `name` is a plain name of a file below a directory; otherwise a code, and the fault in words."""
    from pathlib import PureWindowsPath

    plain = PureWindowsPath(name)  # reads both separators, drives and shares, on every system
    if not plain.parts:
        return "malformed", "is not the name of a file"
    if plain.anchor or ".." in plain.parts or "\0" in name or "\\" in name:
        return "escape", "leads out of the directory"
    if "/".join(plain.parts) != name:
        return "malformed", f"must be written as {shown('/'.join(plain.parts))}"
    return None


def _status(entry: os.DirEntry[str], directory: str) -> os.stat_result | None:
    return status_within(entry.path, directory) if entry.is_symlink() else _regular(entry.path)


def _regular(path: str) -> os.stat_result | None:
    """The status of the regular file at `path`; None if it is something else, such as a link, or does not exist."""
    status = status_at(path, follow=False)
    return status if status and stat.S_ISREG(status.st_mode) else None
