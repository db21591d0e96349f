"""The manifest of a result: an in-toto statement."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from initctl.commit.places import check_file_place
from initctl.commit.staging import write_file
from initctl.coworkers import ALONE
from initctl.display.json_rows import json_parts, with_lists
from initctl.errors import ConflictError, InputError, Problem, shown
from initctl.formats.opening import opened, read_at, status_at
from initctl.system_errors import explaining_failures
from initctl.threads import thread_count

if TYPE_CHECKING:
    from initctl.coworkers import Coworkers
    from initctl.events import Event
    from initctl.manifest.attested import Attested
    from initctl.manifest.checking import ManifestCheck

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:uuid:9e47d492-82b5-4290-844a-99c29abacd61#initctl-apply-1"
"""Identifies statements of initctl. The project has no web address that could be used instead."""

_BEGINNING = f'{{\n  "_type": "{STATEMENT_TYPE}",\n  "subject": ['.encode()
_KIND = f'\n  "predicateType": "{PREDICATE_TYPE}",'.encode()
"""Lines of a saved manifest."""
_HEAD = 16 << 20
"""The kind of a manifest is within this many bytes of its beginning, behind the files: about 100,000 of them."""
LONGEST = 500_000_000
"""The largest size of a manifest in bytes: about 500,000 tensors."""


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """What `apply` did, as JSON whose subjects are the files of the result.

    If it was just made, these files are in `directory`; if it was read, `path` is its file. `attested` is the part that
    a checkpoint is compared with. `content` returns all of it; lists in it may be `Rows`, which are made while they are
    written.
    """

    content: Callable[[], Mapping[str, Any]] = field(repr=False)
    attested: Attested = field(repr=False)
    directory: str | None = None
    path: str | None = None

    @property
    def document(self) -> dict[str, Any]:
        """All of it, as in `initctl/schemas/report.schema.json`. If it comes from a file, the file is read again."""
        document: dict[str, Any] = with_lists(self.content())
        return document

    @explaining_failures
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to the file `path`, in one step. A file of the result at `path` is replaced and not listed.

        Raises `StorageError`, and what `check_replaceable` raises.
        """
        path = os.fspath(path)
        check_replaceable(path)
        place = os.path.realpath(path)
        content = self.content()
        subjects = [one for one in content["subject"] if not self._is_at(place, one["name"])]
        parts = json_parts({**content, "subject": subjects})
        write_file(path, (part.encode() for part in chain(parts, "\n")))

    def _is_at(self, place: str, name: str) -> bool:
        """Whether the subject called `name` is the file at the real path `place`."""
        return self.directory is not None and os.path.realpath(os.path.join(self.directory, name)) == place

    @explaining_failures
    def verify(
        self,
        checkpoint: str | os.PathLike[str],
        *,
        threads: int | None = None,
        coworkers: Coworkers = ALONE,
        on_event: Callable[[Event], None] | None = None,
    ) -> ManifestCheck:
        """Whether `checkpoint` matches this manifest. Neither the rules nor the original are needed.

        Names, dtypes, shapes and digests of all tensors must be the same. So must the files, unless the checkpoint was
        converted or sharded anew. The returned object is true if everything matches.

        Args:
            checkpoint: a path, as for `initctl.inspect`.
            threads, on_event: as for `initctl.apply`.
            coworkers: processes that share the work, as ranks of the command line do.

        Raises:
            InputError: the checkpoint cannot be read.
            ConflictError: it changed while it was read.
        """
        from initctl.manifest.checking import checked

        path, threads = os.fspath(checkpoint), thread_count(threads)
        return checked(self.attested, path, self.path, threads=threads, coworkers=coworkers, on_event=on_event)


def check_replaceable(path: str) -> None:
    """Raise `StorageError` if no file can be created at `path`, `UsageError` if something else than a regular file is
    there, and `ConflictError` if there is a file that is neither empty nor a manifest.
    """
    check_file_place(path)
    status = status_at(path)
    if status and status.st_size and not _is_manifest(path):
        message = f"{shown(path)}: exists and is not an initctl report"
        raise ConflictError(Problem("output.not_report", message, "name another file"))


def _is_manifest(path: str) -> bool:
    """Whether the file at `path` begins like a saved manifest. False if it cannot be read."""
    with suppress(InputError), opened(path) as (descriptor, _):
        head = read_at(descriptor, _HEAD, 0)
        return head.startswith(_BEGINNING) and _KIND in head
    return False
