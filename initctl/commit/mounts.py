"""Mounted file systems: those that no other machine writes to, buckets, and mount points, which stay where they are."""

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
    around = [mount for mount in _mounts(table) if _is_at_or_below(path, mount.point)]
    return max(reversed(around), key=lambda mount: len(mount.point), default=None)  # of two at one point, the last


def check_no_bucket(path: str, output: str, what: str, table: str = _TABLE) -> None:
    """Raise `StorageError` if the real `path`, called `output`, is on a bucket. `what` says what fails there."""
    mount = mount_of(path, table)
    if mount and mount.bucket:
        place = f"{shown(output)}: is on {shown(mount.point)}, a bucket that {mount.bucket} has mounted"
        hint = "write to a local disk, and upload the result"
        raise StorageError(Problem("storage.bucket", f"{place}, where {what}", hint))


def check_no_mount_point(path: str, table: str = _TABLE) -> None:
    """Raise `StorageError` if the real `path`, which is to be replaced, is a mount point or contains one. Nothing can
    take the place of a mount point, and a directory that contains one cannot be removed.
    """
    if problem := mount_point_problem(path, table):
        raise StorageError(problem)


def mount_point_problem(path: str, table: str = _TABLE) -> Problem | None:
    """What is wrong with the real `path` if `check_no_mount_point` raises an error; None if not."""
    inside = [mount.point for mount in _mounts(table) if _is_at_or_below(mount.point, path)]
    point = min(inside, key=len, default=None)
    if point is None:
        return None
    fault = f"{shown(point)}: is a mount point, which cannot be replaced in one step"
    hint = "write to another place with -o" + (", or mount the directory above it" if point == path else "")
    return Problem("storage.mount_point", fault, hint)


def _mounts(table: str) -> list[Mount]:
    """All that are mounted; none if the system does not say."""
    try:
        with open(table, encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
            return [_mount(line) for line in stream]
    except OSError:
        return []


def _is_at_or_below(path: str, other: str) -> bool:
    return os.path.commonpath([path, other]) == other


def _mount(line: str) -> Mount:
    """What a line of the table says: see proc(5)."""
    before, _, after = line.partition(" - ")
    kind, source, *_ = after.split(" ")
    return Mount(_plain(before.split(" ")[4]), kind, _plain(source))


def _plain(text: str) -> str:
    """`text` with octal escapes, such as of blanks, replaced."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
