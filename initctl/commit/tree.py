"""Everything below a directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn


def tree(top: str) -> Iterator[tuple[str, list[str]]]:
    """Each directory, from the deepest to `top` itself, with the names of the other files in it.

    Links are not followed: a link to a directory counts as a file. Raises `OSError` if a directory cannot be read: a
    file that is overlooked would be lost.
    """
    for parent, directories, files in os.walk(top, topdown=False, onerror=_raise):
        yield parent, files + [name for name in directories if os.path.islink(os.path.join(parent, name))]


def _raise(error: OSError) -> NoReturn:
    raise error
