"""Which format a file or a directory is in: its content says so, never its name.

Built-in formats and plugins come through the same door. A package adds a format of files by an entry point in the group
`initctl.formats` that names a `FileFormat`. Packages are asked about what no built-in format recognizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from initctl.entry_points import added
from initctl.errors import Problem, UsageError, shown
from initctl.formats.format_names import DISTRIBUTED, DISTRIBUTED_METADATA, SAFETENSORS, TORCH

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from initctl.formats.checkpoint import Checkpoint
    from initctl.formats.table import FileTable

ENTRY_POINT_GROUP = "initctl.formats"
SNIFFED = 4096
"""Bytes at the beginning of a file that tell its format."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format of single files, which shards may have, too.

    `name` is what tables and JSON call it, `title` what messages do. A file whose first bytes, up to `SNIFFED`,
    `is_at` accepts is in this format. `read(path, name)` gives its table, in which the checkpoint calls it `name`;
    messages call it `path`. `check(path)` is for a file that need not be read: it raises `InputError` if it turns out
    to be in another format.
    """

    name: str
    title: str
    is_at: Callable[[bytes], bool]
    read: Callable[[str, str], FileTable]
    check: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class DirectoryFormat:
    """A format of directories whose files mean nothing by themselves.

    One that `is_in` the files with these names is read by `read(location, listing, root)`.
    """

    name: str
    title: str
    is_in: Callable[[Collection[str]], bool]
    read: Callable[..., Checkpoint]


class Registry:
    """Formats in the order in which they are asked whether a file or a directory is theirs."""

    def __init__(self, formats: Iterable[FileFormat | DirectoryFormat] = ()) -> None:
        self._by_name: dict[str, FileFormat | DirectoryFormat] = {}
        self._plugins_loaded = False
        for one in formats:
            self.register(one)

    def register(self, one: FileFormat | DirectoryFormat) -> None:
        """Add a format. Raises `UsageError` if its name is taken."""
        if one.name in self._by_name:
            raise UsageError(Problem("format.taken", f"format {shown(one.name)}: the name is already taken"))
        self._by_name[one.name] = one

    def of_file(self, content: bytes) -> FileFormat | None:
        """The format of a file that begins with `content`, if it is known."""
        found = self._of_file(content)
        if found is None and content and not self._plugins_loaded:
            self._load_plugins()
            found = self._of_file(content)
        return found

    def of_directory(self, names: Collection[str]) -> DirectoryFormat | None:
        """The format of a directory that has files with these `names` directly in it, if it is one of directories."""
        formats = (one for one in self._by_name.values() if isinstance(one, DirectoryFormat))
        return next((one for one in formats if one.is_in(names)), None)

    def title(self, name: str) -> str:
        """What messages say of a file or a directory in the format `name`."""
        found = self._by_name.get(name)
        return found.title if found else f"in the format {shown(name)}"

    def _of_file(self, content: bytes) -> FileFormat | None:
        formats = (one for one in self._by_name.values() if isinstance(one, FileFormat))
        return next((one for one in formats if one.is_at(content)), None)

    def _load_plugins(self) -> None:
        for one in added(ENTRY_POINT_GROUP, FileFormat, "format.plugin"):
            if one not in self._by_name.values():  # found before a later plugin failed
                self.register(one)
        self._plugins_loaded = True


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


def _function(place: str) -> Callable[..., Any]:
    """The function at `place`, `module:name` as in an entry point: its module is imported when it is called."""
    module, _, name = place.partition(":")
    return lambda *arguments: getattr(import_module(module), name)(*arguments)


_SAFETENSORS = FileFormat(
    SAFETENSORS, "a safetensors file", is_safetensors, _function("initctl.formats.safetensors:read_table")
)
_TORCH = FileFormat(
    TORCH,
    "a file of torch.save",
    _is_torch,
    _function("initctl.formats.torch_save.file:read_table"),
    _function("initctl.formats.torch_save.file:check_saved"),
)
_DISTRIBUTED = DirectoryFormat(
    DISTRIBUTED,
    "a directory of torch.distributed.checkpoint",
    lambda names: DISTRIBUTED_METADATA in names,
    _function("initctl.formats.distributed.directory:read_distributed"),
)
REGISTRY = Registry((_SAFETENSORS, _TORCH, _DISTRIBUTED))


def nearest(content: bytes) -> FileFormat:
    """The built-in format whose reader says best what a file of no known format is instead."""
    return _TORCH if content.startswith(_ZIP) else _SAFETENSORS
