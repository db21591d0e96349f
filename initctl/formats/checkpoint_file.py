"""One file of a checkpoint, as it was when it was read."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from initctl.formats.opening import status_at

if TYPE_CHECKING:
    import os


class Identity(NamedTuple):
    """Values that stay equal as long as nobody changes or replaces the file."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Checksum(NamedTuple):
    """The CRC-32 of a file's bytes from `start` to `stop`: the record `name`. `value` is stored at each of `places`.

    It is `unfinished` if only the last place has it and the others have zeros, as during a patch. A `value` of 0 may
    mean that the file has no checksum: then no content is compared with it.
    """

    name: str
    start: int
    stop: int
    value: int
    places: tuple[int, ...]
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """One file of a checkpoint; `name` is relative to the checkpoint's directory, with `/` between its parts."""

    name: str
    identity: Identity
    mode: int
    checksums: tuple[Checksum, ...] = ()

    @classmethod
    def of(cls, name: str, status: os.stat_result, checksums: tuple[Checksum, ...] = ()) -> CheckpointFile:
        return cls(name, Identity.of(status), stat.S_IMODE(status.st_mode), checksums)

    def is_at(self, path: str) -> bool:
        """Whether the file at `path`, maybe through a link, is still this one, unchanged."""
        status = status_at(path)
        return status is not None and Identity.of(status) == self.identity

    @property
    def size(self) -> int:
        return self.identity.size
