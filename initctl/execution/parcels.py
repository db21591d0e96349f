"""How a new object is uploaded: which of its parts are made together, and which the store copies."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from initctl.layout.ranges import ByteRange, common, joined, uncovered
from initctl.stores.places import place_in_store, place_of
from initctl.stores.upload_parts import UploadPart, cut

if TYPE_CHECKING:
    from initctl.execution.content import Content
    from initctl.formats import Checkpoint
    from initctl.stores.store import Place

_CHECKSUM = 4
"""Bytes of a checksum in a file."""


class Numbered(NamedTuple):
    """A part of an upload, and its number, from 1."""

    number: int
    part: UploadPart


class Parcel(NamedTuple):
    """Consecutive parts that one process makes together, or copies."""

    parts: Sequence[Numbered]

    @property
    def window(self) -> ByteRange:
        return ByteRange(self.parts[0].part.start, self.parts[-1].part.stop)

    @property
    def nbytes(self) -> int:
        return self.window.stop - self.window.start

    @property
    def is_copied(self) -> bool:
        return all(numbered.part.is_copied for numbered in self.parts)


def parcels_of(checkpoint: Checkpoint, content: Content, path: str) -> list[Parcel]:
    """The parcels of a result of `checkpoint` that has this `content`, in order, for the object that `path` mirrors.

    A file with checksums is one parcel: they are known last, and are before the bytes that they are of.
    """
    size, store = content.layout.size, place_in_store(path).bucket
    source = source_of(checkpoint, content)
    kept = content.kept if source and store.copies_from(source.store) else ()
    kept = common(kept, uncovered(size, joined(_overwritten(content))))
    if content.layout.checksums:
        return [Parcel([Numbered(*pair) for pair in enumerate(cut(size, kept, limits=store.limits), 1)])]
    indivisible = content.indivisible
    parts = [Numbered(*pair) for pair in enumerate(cut(size, kept, indivisible, store.limits), 1)]
    return list(map(Parcel, _together(parts, indivisible)))


def source_of(checkpoint: Checkpoint, content: Content) -> Place | None:
    """The object in a store at whose same places the kept ranges of `content` are."""
    if content.source is None:
        return None
    return place_of(os.path.realpath(os.path.join(checkpoint.directory, content.source.name)))


def _overwritten(content: Content) -> Iterator[ByteRange]:
    """Ranges that are written after kept bytes are copied: targets with gaps, and checksums."""
    yield from (target.range for target in content.targets)
    places = (place for checksum in content.layout.checksums for place in checksum.places)
    yield from (ByteRange(place, place + _CHECKSUM) for place in places)


def _together(parts: Sequence[Numbered], indivisible: Sequence[ByteRange]) -> Iterator[list[Numbered]]:
    """`parts`; those in one list between which an indivisible range is cut."""
    together = [parts[0]]
    for numbered in parts[1:]:
        if not _is_inside(numbered.part.start, indivisible):
            yield together
            together = []
        together.append(numbered)
    yield together


def _is_inside(edge: int, ranges: Sequence[ByteRange]) -> bool:
    """Whether `edge` is between bytes of one of `ranges`, which are sorted and disjoint."""
    number = bisect_right(ranges, (edge, edge)) - 1
    return number >= 0 and ranges[number].start < edge < ranges[number].stop
