"""What either format comes to: a pickle that describes, and storages that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from initctl.formats.checkpoint_file import Checksum
    from initctl.formats.torch_save.inert import Pickle

LONGEST_PICKLE = 100_000_000
"""Bytes."""


class ByteRange(NamedTuple):
    """Bytes of a file: where they begin, and where they end."""

    start: int
    stop: int


class SavedObject(NamedTuple):
    """What torch.save wrote: the object's pickle and the byte of the file that places in it count from, where each
    storage lies, by its key, and what the file says of it.
    """

    pickle: Pickle
    origin: int
    storages: Mapping[str, ByteRange]
    checksums: tuple[Checksum, ...]
    metadata: Mapping[str, str]
