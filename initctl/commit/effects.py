"""Every call that changes files, in one place: a test counts these calls, and lets any one of them fail.

Call them as `effects.rename(…)`, so that a test can replace them here. Each raises `OSError`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import struct
from contextlib import suppress
from typing import Any

__all__ = [
    "allocate",
    "change_mode",
    "change_owner",
    "close",
    "copy",
    "create",
    "exchange",
    "flush",
    "link",
    "make_directory",
    "remove_attribute",
    "remove_directory",
    "remove_tree",
    "rename",
    "rename_new",
    "set_attribute",
    "set_size",
    "share",
    "start_flush",
    "unlink",
    "write",
]

_AT_FDCWD = -100
_NOREPLACE, _EXCHANGE = 1, 2
"""Flags of Linux's renameat2."""
_EXCL, _SWAP = 4, 2
"""The same of macOS's renamex_np."""
_FICLONERANGE = 0x4020940D
"""Linux's ioctl that makes two files share blocks. It takes the source, its offset, the length, and the destination's
offset.
"""
_UNSHARE_RANGE = 0x40
"""The mode of fallocate that gives a file its own copy of shared blocks."""
_SYNC_FILE_RANGE_WRITE = 2
"""A flag of Linux's sync_file_range."""


def create(path: str, *, mode: int, may_exist: bool = False) -> int:
    """A descriptor to read and write a new file; or the file that is there, if it `may_exist`. No link is followed."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | (0 if may_exist else os.O_EXCL), mode)


def make_directory(path: str, mode: int = 0o777) -> None:
    os.mkdir(path, mode)


def rename(path: str, target: str) -> None:
    """Move `path` to `target`, and replace what is there."""
    os.rename(path, target)


def rename_new(path: str, target: str) -> None:
    """Move `path` to `target`, unless something is there. ENOSYS or EINVAL if the system cannot do this in one step."""
    _rename(path, target, _NOREPLACE, _EXCL)


def exchange(one: str, other: str) -> None:
    """Swap two existing paths in one step. ENOSYS if the system has no call for it."""
    _rename(one, other, _EXCHANGE, _SWAP)


def link(path: str, target: str) -> None:
    """Give the file at `path`, which may be a symbolic link, the name `target` too."""
    os.link(path, target, follow_symlinks=False)


def unlink(path: str) -> None:
    os.unlink(path)


def remove_directory(path: str) -> None:
    """Remove a directory that is empty."""
    os.rmdir(path)


def remove_tree(path: str) -> None:
    """Remove a directory with everything in it, as far as possible; no error is raised."""
    with suppress(OSError):  # rmtree raises some errors though it ignores them
        shutil.rmtree(path, ignore_errors=True)


def change_mode(place: str | int, mode: int) -> None:
    """`place` is a path, or a descriptor: nobody can put another file there."""
    os.chmod(place, mode)


def change_owner(descriptor: int, user: int, group: int) -> None:
    """-1 keeps the user or the group."""
    os.chown(descriptor, user, group)


def set_attribute(descriptor: int, name: str, value: bytes) -> None:
    os.setxattr(descriptor, name, value)


def remove_attribute(descriptor: int, name: str) -> None:
    os.removexattr(descriptor, name)


def set_size(descriptor: int, size: int) -> None:
    os.ftruncate(descriptor, size)


def allocate(descriptor: int, start: int, length: int, *, unshare: bool) -> None:
    """Reserve blocks for a range of a file; with `unshare`, its own. ENOSYS if the system has no call for it."""
    function = _function("fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    _check(function and function(descriptor, _UNSHARE_RANGE if unshare else 0, start, length))


def share(source: int, destination: int, start: int, stop: int) -> None:
    """Let two files share the blocks of a range."""
    fcntl.ioctl(destination, _FICLONERANGE, struct.pack("qQQQ", source, start, stop - start, start))


def copy(source: int, destination: int, length: int, start: int, offset: int) -> int:
    """Let the kernel copy up to `length` bytes from `start` to `offset`; returns how many. ENOSYS if it cannot."""
    if not hasattr(os, "copy_file_range"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return os.copy_file_range(source, destination, length, start, offset)


def write(descriptor: int, data: bytes | memoryview, offset: int) -> int:
    """Write `data`, or a part of it, at `offset`; returns how many bytes."""
    return os.pwrite(descriptor, data, offset)


def start_flush(descriptor: int, start: int, stop: int) -> None:
    """Ask the system to start writing a range to the disk. This is only a hint; a later `flush` reports errors."""
    if function := _function("sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint):
        function(descriptor, start, stop - start, _SYNC_FILE_RANGE_WRITE)


def flush(descriptor: int) -> None:
    """Wait until everything that was written is on the disk. A second call would not report a failure of the first."""
    os.fsync(descriptor)


def close(descriptor: int) -> None:
    """Close a file that was written: some systems report only here that a write failed."""
    os.close(descriptor)


def _rename(path: str, target: str, on_linux: int, on_macos: int) -> None:
    first, second = os.fsencode(path), os.fsencode(target)
    integer, text = ctypes.c_int, ctypes.c_char_p
    if function := _function("renameat2", integer, text, integer, text, ctypes.c_uint):
        _check(function(_AT_FDCWD, first, _AT_FDCWD, second, on_linux), path)
    else:
        function = _function("renamex_np", text, text, ctypes.c_uint)
        _check(function and function(first, second, on_macos), path)


def _function(name: str, *arguments: Any) -> Any:  # noqa: ANN401 - a foreign function
    """A function of the C library; None if this system does not have it."""
    libc: Any = ctypes.CDLL(None, use_errno=True)
    if function := getattr(libc, name, None):
        function.argtypes = arguments
    return function


def _check(failed: int | None, path: str | None = None) -> None:
    """Raise the error of a foreign function that `failed`, or that is missing (None)."""
    if failed is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), path)
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
