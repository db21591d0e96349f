"""Opening and reading files that may contain anything, and `Malformed`, which readers raise for a damaged file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from initctl.errors import InputError, Problem, shown
from initctl.stores.descriptors import Fetched, opened_mirrored
from initctl.stores.url import did_you_mean_url, scheme_of
from initctl.suggestions import about_home, did_you_mean_path


class Malformed(ValueError):  # noqa: N818 - a fact that the reader of a checkpoint turns into an error
    """A file violates its format: the message says how; `hint` says what to do, if anything can be done."""

    def __init__(self, fault: str, hint: str | None = None) -> None:
        super().__init__(fault)
        self.hint = hint


@contextmanager
def refusing(path: str, form: str, fault: str | None = None, hint: str | None = None) -> Iterator[None]:
    """Turn `Malformed` into an `InputError` about the file at `path` in the format `form`.

    `fault` is put before the message, and `hint` is used if `Malformed` has none.
    """
    try:
        yield
    except Malformed as fact:
        message = f"{fault}: {fact}" if fault else str(fact)
        raise InputError(Problem(f"{form}.malformed", f"{shown(path)}: {message}", fact.hint or hint)) from None


def open_regular(path: str) -> tuple[int, os.stat_result]:
    """A read-only descriptor of the regular file at `path`, and its status. Never blocks. Raises `InputError`."""
    try:
        mirrored = opened_mirrored(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if mirrored is None else mirrored
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise InputError(Problem("file.kind", f"{shown(path)}: is {kind}"))
    return descriptor, status


@contextmanager
def opened(path: str) -> Iterator[tuple[int, os.stat_result]]:
    """The same, closed at the end of the block."""
    descriptor, status = open_regular(path)
    try:
        yield descriptor, status
    finally:
        os.close(descriptor)


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """`length` bytes from `offset`, or fewer if the file ends before."""
    if isinstance(descriptor, Fetched):
        return descriptor.read_at(length, offset)
    parts: list[bytes] = []
    while length and (part := os.pread(descriptor, length, offset)):
        parts.append(part)
        length -= len(part)
        offset += len(part)
    return b"".join(parts)


def read_small(path: str, at_most: int) -> bytes:
    """The content of the regular file at `path`. Raises `InputError`, also if it is longer than `at_most` bytes."""
    with opened(path) as (descriptor, status):
        if status.st_size > at_most:
            raise InputError(Problem("file.too_long", f"{shown(path)}: is longer than {at_most:,} bytes"))
        return read_at(descriptor, status.st_size, 0)


def unreadable(path: str, error: OSError | ValueError) -> InputError:
    if isinstance(error, FileNotFoundError):
        hint = about_home(path) or did_you_mean_url(path) or _about_url(path) or did_you_mean_path(path)
        return InputError(Problem("file.missing", f"{shown(path)}: no such file or directory", hint))
    reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return InputError(Problem("file.unreadable", f"{shown(path)}: cannot be read: {reason}"))


def _about_url(path: str) -> str | None:
    return "it must be a local file: download it first" if scheme_of(path) else None
