"""CRC-32 checksums that a file holds of its own content: what they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isal import isal_zlib

from initctl.commit import read_some

if TYPE_CHECKING:
    from initctl.formats import Checksum

_READ_AT_ONCE = 256 << 10
"""Bytes that stay in a core's own cache between being read and being summed."""


def is_computed(checksum: Checksum, source: int) -> bool:
    """Whether `checksum` is what `source` holds, or was that once, rather than zeros in its place."""
    return bool(checksum.value) or crc32(source, checksum) == 0


def crc32(descriptor: int, checksum: Checksum) -> int:
    """What `checksum` should be, by what `descriptor` holds."""
    value, reached = 0, checksum.start
    while reached < checksum.stop:
        data = read_some(descriptor, reached, min(reached + _READ_AT_ONCE, checksum.stop))
        value = isal_zlib.crc32(data, value)
        reached += len(data)
    return value
