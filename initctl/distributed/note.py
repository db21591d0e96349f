"""What the first part of a result notes in the directory that all parts share. The others must match it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, Self

from initctl.errors import listed, shown
from initctl.planning.documents import signed
from initctl.planning.plan import other_checkpoints
from initctl.schemas import PARTS
from initctl.version import __version__

if TYPE_CHECKING:
    from initctl.execution.content import Draft
    from initctl.formats import CheckpointFile
    from initctl.planning import Plan

SCHEMA = f"{PARTS}1"


class Note(NamedTuple):
    """The number of `parts`, the version of initctl, and the size and the time of each file that is read, by name. In a
    store, also the tickets of the `uploads` of the result's files.

    The inode and the device of a file would differ from machine to machine.
    """

    parts: int
    version: str
    sources: Mapping[str, list[int]]
    uploads: Mapping[str, str] = {}

    @classmethod
    def of(cls, plan: Plan, draft: Draft, parts: int) -> Self:
        return cls(parts, __version__, dict(_sources(plan, draft)))

    @classmethod
    def read(cls, content: bytes) -> Self | None:
        """The note with this `content`; None if it is damaged, or of another version."""
        try:
            document = json.loads(content)  # a name of a file may be bytes that strict JSON refuses
            if document["schema"] == SCHEMA and document["digest"] == signed(document)["digest"]:
                return cls(*(document[name] for name in cls._fields))
        except (ValueError, LookupError, TypeError, RecursionError):
            pass
        return None

    def packed(self) -> bytes:
        """The content of its file."""
        return (json.dumps(signed({"schema": SCHEMA, **self._asdict()}), indent=1) + "\n").encode()

    def difference(self, own: Note) -> str | None:
        """What is different in a process whose note is `own`, so that it must not write parts of the same result."""
        if self.version != own.version:
            return f"was begun by initctl {self.version}, and this is {own.version}"
        if changed := [shown(name) for name in own.sources if own.sources[name] != self.sources.get(name)]:
            return f"was begun before {listed(changed)} changed"
        return None


def _sources(plan: Plan, draft: Draft) -> Iterator[tuple[str, list[int]]]:
    for file in draft.sources:
        yield file.name, _state(file)
    for path, checkpoint in other_checkpoints(plan.actions).items():
        for file in checkpoint.files:
            yield f"{path}: {file.name}", _state(file)


def _state(file: CheckpointFile) -> list[int]:
    return [file.size, file.identity.mtime_ns]
