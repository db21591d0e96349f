"""One file, in whatever format it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.formats.reading import opened
from initctl.formats.registry import REGISTRY, SNIFFED, nearest

if TYPE_CHECKING:
    from initctl.formats.table import FileTable


def first_bytes(path: str) -> bytes:
    """As many bytes of the file at `path` as tell its format. Raises `InputError`."""
    with opened(path) as (descriptor, _):
        return os.read(descriptor, SNIFFED)


def read_table(path: str, name: str) -> FileTable:
    """The table of the file at `path`, which the checkpoint calls `name`. Raises `InputError`."""
    content = first_bytes(path)
    return (REGISTRY.of_file(content) or nearest(content)).read(path, name)


def check_is_checkpoint(path: str) -> None:
    """Raise `InputError` unless the file at `path` is empty, or is in a format that checkpoints have, by its content.

    Of tensors nothing is checked.
    """
    content = first_bytes(path)
    found = REGISTRY.of_file(content)
    if found and found.check:
        found.check(path)
    elif content and not found:
        nearest(content).read(path, os.path.basename(path))
