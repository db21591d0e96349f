"""Errors of the operating system as errors of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from initctl.errors import Problem, StorageError, shown


@contextmanager
def storage_errors(path: str) -> Iterator[None]:
    """Turn an `OSError` from the body, which writes `path`, into a `StorageError`."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            Problem("storage.failed", f"{shown(path)}: cannot be written: {error.strerror or error}")
        ) from error
