"""Which format a file is in: its content says so, never its name.

Built-in formats and plugins come through the same door. A package adds a format by an entry point in the group
`initctl.formats` that names a `FileFormat`. Packages are asked about what no built-in format recognizes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.entry_points import added
from initctl.errors import Problem, UsageError, shown
from initctl.formats.opening import opened

if TYPE_CHECKING:
    from initctl.formats.table import FileTable

SAFETENSORS = "safetensors"
SLICES = "safetensors-slices"
TORCH = "torch"
TORCH_LEGACY = "torch-legacy"
DISTRIBUTED = "torch-distributed"
"""What the built-in formats are called in tables and in JSON."""
_NOT_SNIFFED = (SLICES, TORCH_LEGACY, DISTRIBUTED)
"""Those that are variants, or directories: no plugin may take their names either."""

ENTRY_POINT_GROUP = "initctl.formats"
SNIFFED = 4096
"""Bytes at the beginning of a file that tell its format."""


class FileFormat(NamedTuple):
    """A format of single files, which shards may have, too.

    A file whose first bytes, up to `SNIFFED`, `is_at` accepts is in this format. `read(path, name)` gives its table, in
    which the checkpoint calls it `name`; messages call it `path`. `check(path)` is for a file that need not be read: it
    raises `InputError` if it turns out to be in another format.
    """

    name: str
    is_at: Callable[[bytes], bool]
    read: Callable[[str, str], FileTable]
    check: Callable[[str], None] | None = None


def read_table(path: str, name: str) -> FileTable:
    """The table of the file at `path`, which the checkpoint calls `name`. Raises `InputError`."""
    content = first_bytes(path)
    return (format_of(content) or nearest(content)).read(path, name)


def check_is_checkpoint(path: str) -> None:
    """Raise `InputError` unless the file at `path` is empty, or is in a format that checkpoints have, by its content.

    Of tensors nothing is checked.
    """
    content = first_bytes(path)
    found = format_of(content)
    if found and found.check:
        found.check(path)
    elif content and not found:
        nearest(content).read(path, os.path.basename(path))


def first_bytes(path: str) -> bytes:
    """As many bytes of the file at `path` as tell its format. Raises `InputError`."""
    with opened(path) as (descriptor, _):
        return os.read(descriptor, SNIFFED)


def format_of(content: bytes) -> FileFormat | None:
    """The format of a file that begins with `content`, if it is known. Raises `UsageError` for a plugin that fails."""
    return _first(_BUILTIN, content) or (_first(_with_added(), content) if content else None)


def _first(formats: Iterable[FileFormat], content: bytes) -> FileFormat | None:
    return next((one for one in formats if one.is_at(content)), None)


def each_once(formats: Iterable[FileFormat]) -> tuple[FileFormat, ...]:
    """`formats` in the order in which they are asked. Raises `UsageError` if two have one name."""
    by_name: dict[str, FileFormat] = {}
    for one in formats:
        if one.name in _NOT_SNIFFED or by_name.setdefault(one.name, one) is not one:
            raise UsageError(Problem("format.taken", f"format {shown(one.name)}: the name is already taken"))
    return tuple(by_name.values())


@cache
def _with_added() -> tuple[FileFormat, ...]:
    return each_once((*_BUILTIN, *added(ENTRY_POINT_GROUP, FileFormat, "format.plugin")))


def is_safetensors(content: bytes) -> bool:
    """Whether a file that begins with `content` is meant as safetensors: a length below 2^32, then an object.

    The length's low bytes can look like the beginning of JSON (31520) or of a pickle (640), its zeros cannot.
    """
    return content[4:8] == bytes(4) and content[8:].lstrip()[:1] == b"{"


def is_index(content: bytes) -> bool:
    """Whether a file that begins with `content` is JSON, as the index of a checkpoint in shards is."""
    return content.lstrip()[:1] == b"{" and not is_safetensors(content)


def _is_torch(content: bytes) -> bool:
    """Whether it is a pickle, or a zip archive other than of NumPy's arrays, whose records are called `….npy`."""
    name = content[_RECORD_NAME : _RECORD_NAME + int.from_bytes(content[_NAME_LENGTH], "little")]
    return content[:2] in _PICKLES or (content.startswith(_ZIP) and not name.endswith(b".npy"))


_ZIP = b"PK"
_NAME_LENGTH, _RECORD_NAME = slice(26, 28), 30
"""Where a zip archive has the name of its first record."""
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))


def _function(module: str, name: str) -> Callable[..., Any]:
    """A function of `initctl.formats`, whose module is imported when it is called."""
    return lambda *arguments: getattr(import_module(f"initctl.formats.{module}"), name)(*arguments)


_OF_SAFETENSORS = FileFormat(SAFETENSORS, is_safetensors, _function("safetensors", "read_table"))
_OF_TORCH = FileFormat(
    TORCH, _is_torch, _function("torch_save.file", "read_table"), _function("torch_save.file", "check_saved")
)
_BUILTIN = each_once((_OF_SAFETENSORS, _OF_TORCH))


def nearest(content: bytes) -> FileFormat:
    """The built-in format whose reader says best what a file of no known format is instead."""
    return _OF_TORCH if content.startswith(_ZIP) else _OF_SAFETENSORS
