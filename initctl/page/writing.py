"""The page as a file, which appears in one step and replaces no file of another kind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.commit import StagedFile, check_parent, is_open_stream, write_file
from initctl.errors import ConflictError, Problem, StorageError, shown

if TYPE_CHECKING:
    from initctl.page.content import Page

_BEGINNING = b"<!doctype html>"


def check_replaceable(path: str) -> None:
    """Raise an error if no page can be written to `path`, before the work that it would show.

    Raises `StorageError` if no file can be made there, or what is there is not a regular file, and `ConflictError` for
    a file that is neither empty nor a page.
    """
    target = os.path.realpath(path)
    if is_open_stream(path) or (os.path.exists(target) and not os.path.isfile(target)):
        raise StorageError(Problem("output.kind", f"{shown(path)}: is not a regular file", "name one"))
    check_parent(target, path)
    if os.path.exists(target) and not _is_page(target):
        raise ConflictError(Problem("output.not_page", f"{shown(path)}: exists and is not a page", "name another file"))
    with StagedFile(target):
        pass  # it can be made beside its target: only trying proves that


def write_page(page: Page, path: str) -> None:
    """Write `page` to the file `path`. Raises `StorageError`, and what `check_replaceable` does."""
    from initctl.page.rendering import html

    check_replaceable(path)
    write_file(path, html(page).encode())


def _is_page(path: str) -> bool:
    """Whether an empty file or a page is there. What cannot be read is neither."""
    try:
        with open(path, "rb") as stream:
            beginning = stream.read(len(_BEGINNING))
    except OSError:
        return False
    return not beginning or beginning.lower() == _BEGINNING
