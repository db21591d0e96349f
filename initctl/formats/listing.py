"""The files of a directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from initctl.formats.checkpoint import CheckpointFile, Identity, unreadable

Files = Mapping[str, CheckpointFile]
"""Files by their names relative to a directory, in order of these names."""


def files_below(directory: str) -> Files:
    """The regular files below `directory`. Raises `InputError` where it cannot be read.

    Links count as the files they lead to. Links to directories are not followed: they lead anywhere, or in a circle.
    """
    files: list[CheckpointFile] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        path = os.path.join(directory, folder)
        try:
            entries = list(os.scandir(path))
        except OSError as error:
            raise unreadable(path, error) from None
        folders += [f"{folder}{entry.name}/" for entry in entries if entry.is_dir(follow_symlinks=False)]
        files += [
            CheckpointFile(folder + entry.name, Identity.of(status), stat.S_IMODE(status.st_mode))
            for entry in entries
            if (status := _status(entry.path)) and stat.S_ISREG(status.st_mode)
        ]
    return {file.name: file for file in sorted(files, key=lambda file: file.name)}


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:  # a link to nothing, or to itself
        return None
