"""The files of a directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from initctl.formats.checkpoint import CheckpointFile
from initctl.formats.opening import unreadable

Files = Mapping[str, CheckpointFile]
"""Files by their names relative to a directory, in order of these names."""


class Listing(NamedTuple):
    """What lies below a directory: the regular files, and the names of what is none."""

    files: Files
    left_out: list[str]


def files_below(directory: str) -> Listing:
    """What lies below `directory`. Raises `InputError` where it cannot be read.

    Links count as the files they lead to. Links to directories are left out: they lead anywhere, or in a circle; so are
    links to nothing, and pipes, sockets and devices.
    """
    files: list[CheckpointFile] = []
    left_out: list[str] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        path = os.path.join(directory, folder)
        try:
            entries = list(os.scandir(path))
        except OSError as error:
            raise unreadable(path, error) from None
        for entry in entries:
            name = folder + entry.name
            status = _status(entry.path)
            if entry.is_dir(follow_symlinks=False):
                folders.append(f"{name}/")
            elif status and stat.S_ISREG(status.st_mode):
                files.append(CheckpointFile.of(name, status))
            else:
                left_out.append(name)
    return Listing({file.name: file for file in sorted(files, key=lambda file: file.name)}, sorted(left_out))


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:  # a link to nothing, or to itself
        return None
