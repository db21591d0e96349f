"""An existing file whose bytes are overwritten where they lie."""

from __future__ import annotations

import os
from typing import Self

from initctl.commit.failure import storage_errors
from initctl.errors import ConflictError, Problem, shown


class PatchedFile:
    """The file at `path`, to be overwritten through `descriptor` and brought to the disk by `sync`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor = -1

    def __enter__(self) -> Self:
        with storage_errors(self.path):
            self.descriptor = os.open(self.path, os.O_RDWR)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def sync(self) -> None:
        """Bring what was overwritten to the disk. Raises `ConflictError` where the path has come to lead elsewhere."""
        with storage_errors(self.path):
            os.fsync(self.descriptor)
            if not os.path.samestat(os.stat(self.path), os.fstat(self.descriptor)):
                message = f"{shown(self.path)}: another file has taken its place"
                raise ConflictError(Problem("patch.replaced", message))
