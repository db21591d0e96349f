"""Notes of processes that write one result to a store: small objects below a prefix beside it."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

from initctl.errors import ConflictError, InitctlError, shown
from initctl.stores.requests import side_by_side

if TYPE_CHECKING:
    from initctl.stores.store import Bucket, Stored


_BEGINNING = ".initctl-"
"""What the names of all folders of notes begin with."""


class ObjectNotes:
    """The notes below the prefix `name` of a store; messages call it `path`."""

    def __init__(self, store: Bucket, name: str) -> None:
        self._store, self._prefix = store, f"{name}/"
        self.path = store.url(self._prefix)

    @property
    def shown(self) -> str:
        return f"the objects below {shown(self.path)}"

    def others(self) -> list[str]:
        beginning = os.path.join(os.path.dirname(self._prefix.rstrip("/")), _BEGINNING)
        found = (stored.name for stored in self._store.below(beginning, is_deep=True))
        folders = {name[: name.find("/", len(beginning)) + 1] for name in found}
        return sorted(map(self._store.url, folders - {"", self._prefix}))

    def note(self, name: str) -> bytes | None:
        found = self._store.find(self._prefix + name)
        if found is None:
            return None
        content = bytearray(found.size)
        self._store.read_into(found, memoryview(content), 0)
        return bytes(content)

    def leave(self, name: str, content: bytes) -> None:
        self._put(name, content, self._store.find(self._prefix + name))

    def leave_first(self, name: str, content: bytes) -> bytes:
        try:
            self._put(name, content, None)
        except ConflictError:
            found = self.note(name)
            if found is None:
                raise
            return found
        return content

    def remove(self, last: str) -> None:
        """Remove all notes; the one called `last` when the others are gone."""
        found = {stored.name: stored for stored in self._store.below(self._prefix, is_deep=True)}
        ending = found.pop(self._prefix + last, None)
        side_by_side([partial(self._store.remove, stored) for stored in found.values()])
        if ending:
            self._store.remove(ending)

    def _put(self, name: str, content: bytes, replaces: Stored | None) -> None:
        upload = self._store.upload(self._prefix + name, replaces)
        try:
            upload.begin()
            upload.complete([upload.put(1, BytesIO(content))])
        finally:
            with suppress(InitctlError):
                upload.abort()
