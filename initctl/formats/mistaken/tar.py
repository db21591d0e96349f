"""The names of what a tar archive holds, to say what it is. Nothing is extracted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.formats.reading import opened, read_at

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECORD = 512
_MOST_MEMBERS = 1000
_NAME, _SIZE, _MAGIC = slice(0, 100), slice(124, 136), slice(257, 262)
"""Fields of a member's header, in POSIX's ustar format and GNU's."""
_BINARY = 0x80
"""A flag of the size's first byte: the others are a number, not octal digits."""


def is_tar(content: bytes) -> bool:
    """Whether a file that begins with `content` is a tar archive."""
    return content[_MAGIC] == b"ustar"


def tar_names(path: str) -> list[str]:
    """The names of the first members of the archive at `path`. Raises `InputError` if it cannot be opened."""
    with opened(path) as (descriptor, _):
        return list(_names(descriptor))


def _names(descriptor: int) -> Iterator[str]:
    offset = 0
    for _ in range(_MOST_MEMBERS):
        header = read_at(descriptor, _RECORD, offset)
        if not is_tar(header):
            return
        yield header[_NAME].partition(b"\0")[0].decode("utf-8", "replace")
        size = _size(header[_SIZE])
        if size is None:
            return
        offset += _RECORD + -(-size // _RECORD) * _RECORD


def _size(field: bytes) -> int | None:
    if field[0] & _BINARY:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    return int(digits, 8) if digits and all(digit in b"01234567" for digit in digits) else None
