"""One file of a checkpoint, as it was when it was read."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import os


class Identity(NamedTuple):
    """A file is still the one that was read if this is the same."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Checksum(NamedTuple):
    """The CRC-32 of a file's bytes from `start` to `stop`, which `name` are: `value`, stored at each of `places`.

    It is `unfinished` if it is at the last place alone, and the others hold zeros: while a patch is at work. If the
    `value` is 0 there may be none: no content is held to it.
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

    @property
    def size(self) -> int:
        return self.identity.size
