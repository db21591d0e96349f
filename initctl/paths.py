"""What is at a path. If the system cannot say it, these raise `OSError`; `os.path` says that nothing is there."""

from __future__ import annotations

import os
import stat


def is_there(path: str) -> bool:
    """Whether anything is at `path`: a link that leads nowhere too."""
    return _mode(path, follow=False) is not None


def is_file(path: str) -> bool:
    """Whether a regular file is at `path`, maybe through a link."""
    return stat.S_ISREG(_mode(path, follow=True) or 0)


def is_directory(path: str) -> bool:
    """Whether a directory is at `path`, maybe through a link."""
    return stat.S_ISDIR(_mode(path, follow=True) or 0)


def is_link(path: str) -> bool:
    """Whether a symbolic link is at `path`."""
    return stat.S_ISLNK(_mode(path, follow=False) or 0)


def real(path: str) -> str:
    """The absolute path without symbolic links. The end of it, or all of it, may not exist."""
    try:
        return os.path.realpath(path, strict=True)
    except (FileNotFoundError, NotADirectoryError):
        return os.path.realpath(path)


def _mode(path: str, *, follow: bool) -> int | None:
    try:
        return os.stat(path, follow_symlinks=follow).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
