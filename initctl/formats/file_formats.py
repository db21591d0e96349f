"""The format of a file, which its content decides and never its name.

A package adds a format by an entry point in the group `initctl.formats` that names a `FileFormat`. Formats of packages
are tried if no built-in format recognizes a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.entry_points import added
from initctl.errors import Problem, UsageError, shown
from initctl.formats.opening import opened, read_at

if TYPE_CHECKING:
    from initctl.formats.table import FileTable

SAFETENSORS = "safetensors"
SLICES = "safetensors-slices"
TORCH = "torch"
TORCH_LEGACY = "torch-legacy"
DISTRIBUTED = "torch-distributed"
"""The names of the built-in formats in tables and in JSON."""
_NOT_SNIFFED = (SLICES, TORCH_LEGACY, DISTRIBUTED)
"""Built-in formats that are variants, or directories. No plugin may use their names either."""

ENTRY_POINT_GROUP = "initctl.formats"
SNIFFED = 4096
"""The number of bytes at the beginning of a file that decide its format."""


class FileFormat(NamedTuple):
    """A format of single files and of shards.

    A file is in this format if `is_at` accepts its first `SNIFFED` bytes. `read(path, name)` gives its table: the
    checkpoint calls the file `name`, messages call it `path`. `check(path)` is for a file that need not be read: it
    raises `InputError` if the file is in another format after all.
    """

    name: str
    is_at: Callable[[bytes], bool]
    read: Callable[[str, str], FileTable]
    check: Callable[[str], None] | None = None


def read_table(path: str, name: str) -> FileTable:
    """The table of the file at `path`; the checkpoint calls it `name`. Raises `InputError`."""
    content = first_bytes(path)
    return (format_of(content) or nearest(content)).read(path, name)


def check_is_checkpoint(path: str) -> None:
    """Raise `InputError` unless the file at `path` is empty or its content is in a format of checkpoints.

    Its tensors are not checked.
    """
    content = first_bytes(path)
    found = format_of(content)
    if found and found.check:
        found.check(path)
    elif content and not found:
        nearest(content).read(path, os.path.basename(path))


def first_bytes(path: str) -> bytes:
    """The bytes of the file at `path` that decide its format. Raises `InputError`."""
    with opened(path) as (descriptor, _):
        return read_at(descriptor, SNIFFED, 0)


def format_of(content: bytes) -> FileFormat | None:
    """The format of a file that begins with `content`, if it is known. Raises `UsageError` if a plugin fails."""
    return _first(_BUILTIN, content) or (_first(_with_added(), content) if content else None)


def _first(formats: Iterable[FileFormat], content: bytes) -> FileFormat | None:
    return next((one for one in formats if one.is_at(content)), None)


def each_once(formats: Iterable[FileFormat]) -> tuple[FileFormat, ...]:
    """`formats` in the order in which they are tried. Raises `UsageError` if two have the same name."""
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

    The length's low bytes can look like the beginning of JSON (31520) or of a pickle (640); its zeros cannot.
    """
    return content[4:8] == bytes(4) and content[8:].lstrip()[:1] == b"{"


def is_index(content: bytes) -> bool:
    """Whether a file that begins with `content` is JSON, like the index of a sharded checkpoint."""
    return content.lstrip()[:1] == b"{" and not is_safetensors(content)


def _is_torch(content: bytes) -> bool:
    """Whether it is a pickle or a zip archive. An archive of NumPy arrays, whose records are named `….npy`, is not."""
    name = content[_RECORD_NAME : _RECORD_NAME + int.from_bytes(content[_NAME_LENGTH], "little")]
    return content[:2] in _PICKLES or (content.startswith(_ZIP) and not name.endswith(b".npy"))


_ZIP = b"PK"
_NAME_LENGTH, _RECORD_NAME = slice(26, 28), 30
"""Where the name of its first record is in a zip archive."""
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))


def _function(module: str, name: str) -> Callable[..., Any]:
    """A function of `initctl.formats`. Its module is imported at the first call."""
    return lambda *arguments: getattr(import_module(f"initctl.formats.{module}"), name)(*arguments)


_OF_SAFETENSORS = FileFormat(SAFETENSORS, is_safetensors, _function("safetensors", "read_table"))
_OF_TORCH = FileFormat(
    TORCH, _is_torch, _function("torch_save.file", "read_table"), _function("torch_save.file", "check_saved")
)
_BUILTIN = each_once((_OF_SAFETENSORS, _OF_TORCH))


def nearest(content: bytes) -> FileFormat:
    """The built-in format whose reader gives the best error for a file of an unknown format."""
    return _OF_TORCH if content.startswith(_ZIP) else _OF_SAFETENSORS
