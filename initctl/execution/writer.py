"""What writing any result takes: engines, threads, pieces, and files of the input to read."""

from __future__ import annotations

import os
from contextlib import contextmanager
from heapq import merge
from itertools import groupby
from typing import TYPE_CHECKING

from initctl.errors import ConflictError
from initctl.execution.checksums import CheckPiece, RenewedPiece
from initctl.execution.engines import choose_engines
from initctl.execution.events import Committed
from initctl.execution.pieces import Filler, filled_pieces
from initctl.execution.strided import strided_pieces
from initctl.stream import WholeFill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from initctl.execution.content import Target
    from initctl.execution.events import Event
    from initctl.execution.pieces import Piece
    from initctl.execution.workers import Workers
    from initctl.formats import CheckpointFile, Checksum
    from initctl.planning import Plan


class Writer:
    """Writes the result of one plan."""

    def __init__(self, plan: Plan, workers: Workers, on_event: Callable[[Event], None] | None) -> None:
        self.plan = plan
        self.checkpoint = plan.checkpoint
        self.workers = workers
        self.on_event = on_event

    def begin(self, nbytes: int) -> None:
        """Make ready for the work itself, once nothing stands in its way: compiling can take seconds."""
        self.workers.expect(nbytes)
        engines = choose_engines(self.plan.writes, threads=self.workers.threads, on_event=self.on_event)
        self.filler = Filler(self.plan.seed, engines)

    def verify(self, file: CheckpointFile, checksums: Sequence[Checksum]) -> None:
        """Raise `InputError` where `file` does not hold what `checksums` say."""
        path = os.path.join(self.checkpoint.directory, file.name)
        if checksums:
            with self.source(file) as source:
                self.workers.write((CheckPiece(checksum, source, path) for checksum in checksums), source)

    def committed(self) -> None:
        if self.on_event:
            self.on_event(Committed())

    def fill(
        self,
        descriptor: int,
        targets: Sequence[Target],
        kept: Iterable[Piece] = (),
        checksums: Iterable[Checksum] = (),
    ) -> None:
        """Write the `kept` pieces, compute `targets`, and renew the `checksums` of what was written.

        What lies between the elements of a target may be among the kept: that is written first.
        """
        elementwise = [(t, t.action.fill) for t in targets if not isinstance(t.action.fill, WholeFill)]
        packed = [(t, fill) for t, fill in elementwise if t.block.is_row_major]
        strided = [(t, fill) for t, fill in elementwise if not t.block.is_row_major]
        self.workers.write(merge(kept, filled_pieces(packed, self.filler), key=_offset), descriptor)
        self.workers.write(strided_pieces(strided, self.filler), descriptor)
        for whole, parts in _by_whole_fill(targets):
            self.fill_whole(whole, parts, descriptor)
        self.workers.write(map(RenewedPiece, checksums), descriptor)

    def fill_whole(self, whole: WholeFill, targets: Sequence[Target], descriptor: int) -> None:
        """One tensor whose values depend on each other; what was prepared is gone when the next one begins."""
        prepared = whole.prepared(self.filler.draws(targets[0].action))
        for target in targets:
            pieces = filled_pieces if target.block.is_row_major else strided_pieces
            self.workers.write(pieces([(target, prepared)], self.filler), descriptor)

    @contextmanager
    def source(self, file: CheckpointFile) -> Iterator[int]:
        """A descriptor that reads `file`."""
        descriptor = self.checkpoint.open(file)
        try:
            yield descriptor
        except ConflictError:
            raise self.checkpoint.changed(file) from None
        finally:
            os.close(descriptor)


def _offset(piece: Piece) -> int:
    return piece.offset


def _by_whole_fill(targets: Iterable[Target]) -> Iterator[tuple[WholeFill, list[Target]]]:
    """The targets of each action that needs a whole tensor at once."""
    for _, group in groupby(targets, key=lambda target: id(target.action)):
        parts = list(group)
        if isinstance(fill := parts[0].action.fill, WholeFill):
            yield fill, parts
