"""What writing any result takes: engines, threads, pieces, and files of the input to read."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import contextmanager, nullcontext
from functools import partial
from heapq import merge
from typing import TYPE_CHECKING

from initctl.errors import ConflictError
from initctl.execution.checksums import LiftedPiece, RenewedPiece, SettledPiece, refuse
from initctl.execution.events import Committed
from initctl.execution.pieces import filled_pieces
from initctl.execution.strided import strided_pieces
from initctl.filling import PREPARED, Filler, choose_engines
from initctl.filling.checksums import CheckPiece

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from initctl.execution.events import Event
    from initctl.filling import Piece, Target, Workers
    from initctl.formats import CheckpointFile, Checksum
    from initctl.planning import Plan
    from initctl.stream import Old
    from initctl.tensors import TensorPart

    Opened = Callable[[], AbstractContextManager[int]]
    """Gives a descriptor to write to, each time it is called."""


class Writer:
    """Writes the result of one plan."""

    def __init__(
        self, plan: Plan, workers: Workers, olds: Mapping[TensorPart, Old], on_event: Callable[[Event], None] | None
    ) -> None:
        self.plan = plan
        self.olds = olds
        self.checkpoint = plan.checkpoint
        self.workers = workers
        self.on_event = on_event

    def begin(self, nbytes: int, carried: Sequence[tuple[CheckpointFile, Sequence[Checksum]]] = ()) -> None:
        """Make ready to write `nbytes`, once nothing else stands in the way: this takes time.

        Files must hold what their `carried` checksums say: else `InputError`. Then engines are chosen, and compiled.
        """
        carried = [(file, [checksum for checksum in checksums if checksum.value]) for file, checksums in carried]
        looked_at = sum(checksum.stop - checksum.start for _, checksums in carried for checksum in checksums)
        self.workers.expect(nbytes + looked_at)
        for file, checksums in carried:
            if checksums:
                path = os.path.join(self.checkpoint.directory, file.name)
                with self.source(file) as source:
                    opened = _open_already(source)
                    self.workers.write((CheckPiece(c, opened, partial(refuse, path, c)) for c in checksums), source)
        engines = choose_engines(self.plan.written, threads=self.workers.threads, on_event=self.on_event)
        self.filler = Filler(self.plan.seed, engines, self.olds)

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
        """Write the `kept` pieces, compute `targets`, and renew the `checksums` of what was written."""
        self.fill_elements(descriptor, targets, kept)
        self.fill_wholes((target, lambda: nullcontext(descriptor)) for target in targets)
        self.renew(descriptor, checksums)

    def fill_elements(self, descriptor: int, targets: Sequence[Target], kept: Iterable[Piece] = ()) -> None:
        """Write the `kept` pieces, and those `targets` whose elements are computed one by one.

        What lies between the elements of a target may be among the kept: that is written first.
        """
        elementwise = [(t, t.action.law) for t in targets if not isinstance(t.action.law, PREPARED)]
        packed = [(t, law) for t, law in elementwise if t.block.is_row_major]
        strided = [(t, law) for t, law in elementwise if not t.block.is_row_major]
        self.workers.write(merge(kept, filled_pieces(packed, self.filler), key=_offset), descriptor)
        self.workers.write(strided_pieces(strided, self.filler), descriptor)

    def fill_wholes(self, targets: Iterable[tuple[Target, Opened]]) -> None:
        """Write those `targets` whose values depend on each other, each to the file that it comes with.

        A tensor is computed once, in however many files it lies, and is gone when the next one begins; all of them in
        the order of the plan.
        """
        by_action: dict[int, list[tuple[Target, Opened]]] = defaultdict(list)
        for target, opened in targets:
            by_action[id(target.action)].append((target, opened))
        for action in self.plan.written:
            parts = by_action.get(id(action), ())
            if parts and isinstance(action.law, PREPARED):
                prepared = self.filler.prepared(action)
                for target, opened in parts:
                    pieces = filled_pieces if target.block.is_row_major else strided_pieces
                    with opened() as descriptor:
                        self.workers.write(pieces([(target, prepared)], self.filler), descriptor)

    def renew(self, descriptor: int, checksums: Iterable[Checksum]) -> None:
        self.workers.write(map(RenewedPiece, checksums), descriptor)

    def fill_in_place(
        self, descriptor: int, targets: Sequence[Target], checksums: Sequence[Checksum], sync: Callable[[], None]
    ) -> None:
        """`fill` a file that others may read, and that must be readable, and completed by the same steps, wherever they
        stop: while a range is overwritten its checksum stands at its last place alone. What `sync` brings to the disk
        is there before the next step.
        """
        if checksums:
            self.workers.write(map(LiftedPiece, checksums), descriptor)
            sync()
        self.fill(descriptor, targets, checksums=[c._replace(places=c.places[-1:]) for c in checksums])
        sync()
        if checksums:
            self.workers.write(map(SettledPiece, checksums), descriptor)
            sync()

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


def _open_already(descriptor: int) -> Callable[[], AbstractContextManager[int]]:
    return lambda: nullcontext(descriptor)


def _offset(piece: Piece) -> int:
    return piece.offset
