"""Opening and reading files that may contain anything, and `Malformed`, which readers raise for a damaged file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from initctl.errors import InputError, Problem, StorageError, shown
from initctl.stores.descriptors import Fetched, opened_mirrored
from initctl.stores.url import did_you_mean_url, scheme_of
from initctl.suggestions import about_home, did_you_mean_path
from initctl.system_errors import is_absent, is_of_the_file, reason
from initctl.traces import is_trace


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


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn an `OSError` of the body, which reads the file at `path`, into what `unreadable` returns."""
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


def open_regular(path: str) -> tuple[int, os.stat_result]:
    """A read-only descriptor of the regular file at `path`, and its status. Never blocks.

    Raises `InputError` if the file does not exist or may not be read, and `StorageError` if the system fails.
    """
    try:
        mirrored = opened_mirrored(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if mirrored is None else mirrored
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    try:
        return descriptor, _status_of_regular(descriptor, path)
    except BaseException:
        close(descriptor)
        raise


@contextmanager
def opened(path: str) -> Iterator[tuple[int, os.stat_result]]:
    """The same, closed at the end of the block. Raises the same errors if reading fails."""
    descriptor, status = open_regular(path)
    try:
        with reading(path):
            yield descriptor, status
    finally:
        close(descriptor)


def _status_of_regular(descriptor: int, path: str) -> os.stat_result:
    with reading(path):
        status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise InputError(Problem("file.kind", f"{shown(path)}: is {kind}"))
    return status


def entries_of(folder: str) -> list[os.DirEntry[str]]:
    """The entries of the directory at `folder`, sorted by name, without those that initctl itself has there while it
    works. Raises what `unreadable` returns.

    Python repeats calls that a signal interrupts, but not the one that opens a directory.
    """
    while True:
        try:
            with os.scandir(folder) as entries:
                found = (entry for entry in entries if not is_trace(entry.name))
                return sorted(found, key=lambda entry: entry.name)
        except InterruptedError:
            continue
        except OSError as error:
            raise unreadable(folder, error) from None


def names_in(folder: str) -> list[str]:
    """The names of the entries of the directory at `folder`, sorted."""
    return [entry.name for entry in entries_of(folder)]


def close(descriptor: int) -> None:
    """Close a file that was only read. What was read is right, whatever closing it says."""
    with suppress(OSError):
        os.close(descriptor)


def status_at(path: str, *, follow: bool = True) -> os.stat_result | None:
    """The status of what is at `path`, or of what a link there leads to if `follow`; None if nothing is there.

    `os.path.exists` and its like say the same of a file on a disk that fails. Raises what `unreadable` returns.
    """
    try:
        return os.stat(path, follow_symlinks=follow)
    except ValueError:  # a zero byte is in no path
        return None
    except OSError as error:
        if is_absent(error):
            return None
        raise unreadable(path, error) from None


def is_folder(path: str) -> bool:
    """Whether a directory is at `path`, or a link to one. Raises what `unreadable` returns."""
    status = status_at(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


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


def unreadable(path: str, error: OSError | ValueError) -> InputError | StorageError:
    """The `error` of reading the file at `path`: an `InputError` if the file is at fault, or a `StorageError`."""
    if isinstance(error, FileNotFoundError):
        if os.path.islink(path):
            fault = f"{shown(path)}: is a link to a file that does not exist: {shown(os.path.realpath(path))}"
            return InputError(Problem("file.missing", fault, "put that file in its place, or name another"))
        hint = about_home(path) or did_you_mean_url(path) or _about_url(path) or did_you_mean_path(path)
        return InputError(Problem("file.missing", f"{shown(path)}: no such file or directory", hint))
    if not isinstance(error, OSError):
        return InputError(Problem("file.unreadable", f"{shown(path)}: cannot be read: {error}"))
    problem = Problem("file.unreadable", f"{shown(path)}: cannot be read: {reason(error)}")
    return InputError(problem) if is_of_the_file(error) else StorageError(problem)


def _about_url(path: str) -> str | None:
    return "it must be a local file: download it first" if scheme_of(path) else None
