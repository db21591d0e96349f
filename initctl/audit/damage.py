"""Checksums of what is filled that are wrong though the content is right."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from initctl.audit.differences import FileDifference
from initctl.checksums import CheckTask
from initctl.layout import covered, overlap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from initctl.audit.comparison import Place
    from initctl.formats import Checkpoint, Checksum
    from initctl.reading import TensorReader
    from initctl.tensors import Block


class Damage:
    """What is wrong with checksums of the bytes that hold `places` of what `reader` reads, or of all bytes if it
    `is_new`; none are looked at if the original had none either.
    """

    def __init__(
        self, reader: TensorReader, places: Iterable[Place], original: Checkpoint, *, is_new: bool = False
    ) -> None:
        self.tasks: list[CheckTask] = []
        self._wrong: list[tuple[str, Checksum]] = []
        if not any(file.checksums for file in reader.checkpoint.files):
            return
        filled: dict[str, list[tuple[Block, int]]] = defaultdict(list)
        for place in places:
            for block in place.held.blocks:
                filled[block.file].append((block, place.held.dtype.bits // 8))
        computed = {c.name for file in original.files for c in file.checksums if c.value}
        for file in reader.checkpoint.files:
            reached = covered(filled[file.name])
            for checksum in file.checksums:
                is_kept = checksum.value or checksum.unfinished or checksum.name in computed
                if is_kept and (is_new or overlap(reached, checksum.start, checksum.stop)):
                    fail = partial(self._note, file.name, checksum)
                    self.tasks.append(CheckTask(checksum, partial(reader.opened, file.name), fail))

    def wrong(self, differing: Collection[tuple[str, int]]) -> Iterator[FileDifference]:
        """Checksums that are wrong though what they are of is as it should be: no byte of it is among `differing`."""
        for file, checksum in sorted(self._wrong):
            if not any(other == file and checksum.start <= at < checksum.stop for other, at in differing):
                yield FileDifference(file, f"the checksum of {checksum.name} is wrong", checksum.places[0])

    def _note(self, file: str, checksum: Checksum, _: int | None) -> None:
        self._wrong.append((file, checksum))
