"""What the operating system refused, as an error of this package."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from initctl.errors import Problem, StorageError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_THREAD = "can't start new thread"
"""All that Python says of it."""


@contextmanager
def storage_errors(path: str) -> Iterator[None]:
    """Turn what the system refuses to the body, which writes `path`, into a `StorageError`."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            Problem("storage.failed", f"{shown(path)}: cannot be written: {error.strerror or error}")
        ) from error
    except RuntimeError as error:
        if not str(error).startswith(_NO_THREAD):
            raise
        raise StorageError(Problem("storage.threads", "the system starts no more threads", "use fewer")) from error
