"""Errors of the operating system as errors of this package."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from initctl.commit.mounts import mount_point_problem
from initctl.errors import Problem, StorageError, shown
from initctl.system_errors import reason


class ReadError(OSError):
    """The file open at `descriptor` cannot be read, or ended too early if this `is_short`. Whoever opened it raises an
    error that names it.
    """

    def __init__(self, descriptor: int, error: OSError | None = None) -> None:
        super().__init__(error.errno if error else 0, error.strerror if error else "it became shorter meanwhile")
        self.descriptor = descriptor
        self.is_short = error is None


@contextmanager
def storage_errors(path: str) -> Iterator[None]:
    """Turn an `OSError` from the body, which writes `path` and may read it, into a `StorageError`."""
    try:
        yield
    except OSError as error:
        raise as_storage_error(error, path) from error


def as_storage_error(error: OSError, path: str) -> StorageError:
    """The same of one `error`."""
    return StorageError(_problem(path, error))


def _problem(path: str, error: OSError) -> Problem:
    if error.errno in (errno.EBUSY, errno.EXDEV) and (problem := mount_point_problem(os.path.realpath(path))):
        return problem
    what = "read" if isinstance(error, ReadError) else "written"
    return Problem("storage.failed", f"{shown(path)}: cannot be {what}: {_reason(error)}")


def _reason(error: OSError) -> str:
    new = error.filename
    if isinstance(error, PermissionError) and isinstance(new, str) and not os.path.lexists(new):
        return f"initctl makes a new file in {shown(os.path.dirname(new))}, and that directory is not writable"
    return reason(error)
