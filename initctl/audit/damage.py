"""Checksums that are wrong although the filled content is right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from initctl.audit.untouched import within
from initctl.audit.verification import FileDifference
from initctl.checksums import check_task
from initctl.layout.ranges import ByteRange, joined, overlap

if TYPE_CHECKING:
    from initctl.audit.comparison import Place
    from initctl.coworkers import Coworkers
    from initctl.formats import Checkpoint, Checksum
    from initctl.reading import TensorReader
    from initctl.workers import Task


class Damage:
    """Verifies the checksums in what `reader` reads: those of bytes at `places`, or all of them if the file `is_new`.
    Checksums that the original did not have are not expected.
    """

    def __init__(self, reader: TensorReader, places: Iterable[Place], original: Checkpoint, *, is_new: bool) -> None:
        self.tasks: list[Task] = []
        self._wrong: list[tuple[str, Checksum]] = []
        filled = within(place.held for place in places)
        computed = {c.name for file in original.files for c in file.checksums if c.value}
        for file in reader.checkpoint.files:
            reached = joined(filled[file.name])
            for checksum in file.checksums:
                is_kept = checksum.value or checksum.unfinished or checksum.name in computed
                if is_kept and (is_new or overlap(reached, checksum.start, checksum.stop)):
                    fail = partial(self._note, file.name, checksum)
                    self.tasks.append(check_task(checksum, partial(reader.opened, file.name), fail))

    def share(self, coworkers: Coworkers) -> None:
        """Take over what `coworkers` found."""
        self._wrong = [found for each in coworkers.all_of(self._wrong) for found in each]

    def wrong(self, differing: Mapping[str, Iterable[ByteRange]]) -> Iterator[FileDifference]:
        """Wrong checksums of bytes that are right, because the `differing` ranges of the file are elsewhere."""
        ranges = {file: joined(found) for file, found in differing.items()}
        for file, checksum in sorted(self._wrong):
            if not overlap(ranges.get(file, ()), checksum.start, checksum.stop):
                yield FileDifference(file, f"the checksum of {checksum.name} is wrong", checksum.places[0])

    def _note(self, file: str, checksum: Checksum, _: int | None) -> None:
        self._wrong.append((file, checksum))
