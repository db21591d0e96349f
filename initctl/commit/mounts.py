"""Buckets that are mounted as file systems: they look local, but a directory cannot appear there in one step."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from initctl.errors import Problem, StorageError, shown

_TABLE = "/proc/self/mountinfo"
_BUCKETS = ("blobfuse2", "cosfs", "gcsfuse", "geesefs", "goofys", "mount-s3", "ossfs", "rclone", "s3fs")
"""Programs that mount a bucket, as the type of the file system names them after `fuse.`."""
_SOURCES = ("mountpoint-s3", "gcsfuse", "goofys", "rclone", "s3fs")
"""The same, as some of them name themselves as the source of a file system whose type is only `fuse`."""
_ESCAPED = re.compile(r"\\([0-7]{3})")


_LOCAL = ("apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs")
"""Types of file systems that one machine uses alone."""


class Mount(NamedTuple):
    """A mounted file system: its path, its type, and its source."""

    point: str
    kind: str
    source: str

    @property
    def is_local(self) -> bool:
        """Whether this is surely a file system that no other machine writes to."""
        return self.kind in _LOCAL

    @property
    def bucket(self) -> str | None:
        """The program that mounts a bucket here; None if this is something else."""
        kind, _, program = self.kind.partition(".")
        if kind != "fuse":
            return None
        if program:
            return program if program in _BUCKETS else None
        return self.source if self.source in _SOURCES else None


def mount_of(path: str, table: str = _TABLE) -> Mount | None:
    """The file system that the real `path` is on, or will be; None if the system does not say."""
    try:
        with open(table, encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
            mounts = [_mount(line) for line in stream]
    except OSError:
        return None
    around = [mount for mount in mounts if os.path.commonpath([mount.point, path]) == mount.point]
    return max(reversed(around), key=lambda mount: len(mount.point), default=None)  # of two at one point, the last


def check_no_bucket(path: str, output: str, what: str, table: str = _TABLE) -> None:
    """Raise `StorageError` if the real `path`, called `output`, is on a bucket. `what` says what fails there."""
    mount = mount_of(path, table)
    if mount and mount.bucket:
        place = f"{shown(output)}: is on {shown(mount.point)}, a bucket that {mount.bucket} has mounted"
        hint = "write to a local disk, and upload the result"
        raise StorageError(Problem("storage.bucket", f"{place}, where {what}", hint))


def _mount(line: str) -> Mount:
    """What a line of the table says: see proc(5)."""
    before, _, after = line.partition(" - ")
    kind, source, *_ = after.split(" ")
    return Mount(_plain(before.split(" ")[4]), kind, _plain(source))


def _plain(text: str) -> str:
    """`text` with octal escapes, such as of blanks, replaced."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
