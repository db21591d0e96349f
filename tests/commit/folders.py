"""What lies in a directory, and system calls that fail."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

from initctl.commit import effects


class Entry(NamedTuple):
    """One name: what it holds, its permissions, and which inode and time it has."""

    content: bytes | str | None
    mode: int
    inode: int
    mtime_ns: int


def snapshot(folder: Path) -> dict[str, Entry]:
    """Everything below `folder`: files with their bytes, links with where they lead, directories with None."""
    return {str(path.relative_to(folder)): _entry(path) for path in sorted(folder.rglob("*"))}


def contents(folder: Path) -> dict[str, bytes | str | None]:
    """What everything below `folder` holds."""
    return {name: entry.content for name, entry in snapshot(folder).items()}


def _entry(path: Path) -> Entry:
    status = path.lstat()
    content: bytes | str | None = None
    if path.is_symlink():
        content = os.readlink(path)
    elif path.is_file():
        content = path.read_bytes()
    return Entry(content, stat.S_IMODE(status.st_mode), status.st_ino, status.st_mtime_ns)


def refusing(code: int) -> Callable[..., NoReturn]:
    """A system call that always fails with `code`."""

    def call(*_: object, **__: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return call


def record_commits(monkeypatch: pytest.MonkeyPatch, *calls: str) -> list[int | str]:
    """A list of the inodes that are synced from now on, and of the names of the `calls` of `effects`, in order."""
    log: list[int | str] = []
    monkeypatch.setattr(os, "fsync", _after(os.fsync, lambda descriptor: log.append(os.fstat(descriptor).st_ino)))
    for name in calls:
        monkeypatch.setattr(effects, name, _after(getattr(effects, name), lambda *_, name=name: log.append(name)))
    return log


def _after(call: Callable[..., object], note: Callable[..., None]) -> Callable[..., object]:
    """`call`, with a `note` of its arguments taken first."""

    def noted(*arguments: object, **options: object) -> object:
        note(*arguments)
        return call(*arguments, **options)

    return noted


def fail_to_sync_directories(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let no fsync of `folder` itself succeed; those of files and of other directories do."""
    fsync, inode = os.fsync, folder.stat().st_ino

    def selective(descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == inode:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", selective)
