"""Errors of the operating system as errors of this package."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from initctl.errors import Problem, StorageError, shown


@contextmanager
def storage_errors(path: str) -> Iterator[None]:
    """Turn an `OSError` from the body, which writes `path`, into a `StorageError`."""
    try:
        yield
    except OSError as error:
        raise as_storage_error(error, path) from error


def as_storage_error(error: OSError, path: str) -> StorageError:
    """The same of one `error`."""
    return StorageError(Problem("storage.failed", f"{shown(path)}: cannot be written: {_reason(error)}"))


def _reason(error: OSError) -> str:
    new = error.filename
    if isinstance(error, PermissionError) and isinstance(new, str) and not os.path.lexists(new):
        return f"initctl makes a new file in {shown(os.path.dirname(new))}, and that directory is not writable"
    return error.strerror or str(error)
