"""An existing file whose bytes are overwritten in place."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Self

from initctl.commit import effects
from initctl.commit.failure import storage_errors
from initctl.errors import ConflictError, Problem, shown


class PatchedFile:
    """The file at `path`: write to `descriptor`, then call `sync` to flush it to the disk."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor = -1
        self._size = 0

    def __enter__(self) -> Self:
        with storage_errors(self.path):
            self.descriptor = os.open(self.path, os.O_RDWR)
            self._size = os.fstat(self.descriptor).st_size
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # `sync` has reported what was not written
            effects.close(self.descriptor)

    def sync(self) -> None:
        """Flush what was overwritten to the disk. Raises `ConflictError` if `path` is another file by now, or has
        another size.
        """
        with storage_errors(self.path):
            effects.flush(self.descriptor)
            status = os.fstat(self.descriptor)
            if not self._is_at_path(status):
                message = f"{shown(self.path)}: another program replaced or removed it during the patch"
                raise ConflictError(Problem("patch.replaced", message))
            if status.st_size != self._size:
                message = f"{shown(self.path)}: another program changed its size during the patch"
                raise ConflictError(Problem("patch.replaced", message))

    def _is_at_path(self, status: os.stat_result) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), status)
        except FileNotFoundError:
            return False
