"""Write a page to a file, in one step. Files that are not pages are not replaced."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from initctl.commit.places import check_file_place
from initctl.commit.staging import write_file
from initctl.errors import ConflictError, InputError, Problem, shown
from initctl.formats.opening import opened, read_at, status_at

if TYPE_CHECKING:
    from initctl.page.content import Page

_BEGINNING = b"<!doctype html>"


def check_replaceable(path: str) -> None:
    """Raise an error if no page can be written to `path`. Call it before the work that the page shows.

    Raises `StorageError` if no file can be created there, `UsageError` if something else than a regular file is there,
    and `ConflictError` for a file that is neither empty nor a page.
    """
    check_file_place(path)
    if status_at(path) and not _is_page(path):
        raise ConflictError(Problem("output.not_page", f"{shown(path)}: exists and is not a page", "name another file"))


def write_page(page: Page, path: str) -> None:
    """Write `page` to the file `path`. Raises `StorageError`, and what `check_replaceable` raises."""
    from initctl.page.rendering import html

    check_replaceable(path)
    write_file(path, [html(page).encode()])


def _is_page(path: str) -> bool:
    """Whether the file at `path` is empty or a page. False if it cannot be read."""
    with suppress(InputError), opened(path) as (descriptor, _):
        beginning = read_at(descriptor, len(_BEGINNING), 0)
        return not beginning or beginning.lower() == _BEGINNING
    return False
