"""SHA-256 of tensors, whatever files they are in, and of files."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from initctl.layout.pieces import Pieces, grouped
from initctl.reading import Buffers, TensorReader, in_numbers
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from initctl.events import Progress
    from initctl.formats import Checkpoint, CheckpointFile
    from initctl.tensors import TensorSpec

    OnEvent = Callable[[Progress], None] | None

_AT_ONCE = 1 << 20
"""Bytes of a file that are read and hashed at a time."""
_SMALL = 1 << 13
"""Numbers of a tensor that others share a task with at most."""


def tensor_digests(
    checkpoint: Checkpoint, tensors: Iterable[TensorSpec], *, threads: int, on_event: OnEvent = None
) -> dict[str, str | None]:
    """The SHA-256 of each of `tensors` by name: of its bytes in row-major order, as `initctl.stats` gives it.

    None if its elements are not stored as such: of a sparse or a meta tensor.
    """
    places = {tensor.name: (tensor.dtype, tensor.blocks) for tensor in tensors}
    distinct = {(tensor.dtype, tensor.blocks): in_numbers(tensor) for tensor in tensors}
    found: list[str | None] = [None] * len(distinct)
    stored = {number: tensor for number, tensor in enumerate(distinct.values()) if _is_stored(tensor)}
    buffers = Buffers()

    def add(numbers: Sequence[int]) -> None:
        for number in numbers:
            found[number] = _sha256(_parts(stored[number], reader, buffers), workers)

    with TensorReader(checkpoint) as reader, Workers(threads, on_event) as workers:
        workers.total += sum(tensor.nbytes for tensor in stored.values())
        workers.run(
            Task(sum(stored[number].nbytes for number in numbers), partial(add, numbers))
            for numbers, _ in grouped(((number, (tensor,)) for number, tensor in stored.items()), _SMALL)
        )
    checkpoint.check_unchanged(checkpoint.files)
    by_place = dict(zip(distinct, found, strict=True))
    return {name: by_place[place] for name, place in places.items()}


def file_digests(
    checkpoint: Checkpoint, files: Sequence[CheckpointFile], *, threads: int, on_event: OnEvent = None
) -> dict[str, str]:
    """The SHA-256 of each of `files`, which belong to `checkpoint`, by name.

    Raises `ConflictError` if one changed, `StorageError` if it cannot be read.
    """
    found: dict[str, str] = {}
    buffers = Buffers()

    def add(file: CheckpointFile) -> None:
        starts = range(0, file.size, _AT_ONCE)
        parts = (
            reader.read_range(file.name, start, min(start + _AT_ONCE, file.size), *buffers.each) for start in starts
        )
        found[file.name] = _sha256(parts, workers)

    with TensorReader(checkpoint, files) as reader, Workers(threads, on_event) as workers:
        workers.total += sum(file.size for file in files)
        workers.run(Task(file.size, partial(add, file)) for file in files)
    return {file.name: found[file.name] for file in files}


def _is_stored(tensor: TensorSpec) -> bool:
    """Whether its elements are bytes of their own."""
    return not tensor.unwritable and tensor.dtype.kind != "packed"


def _parts(tensor: TensorSpec, reader: TensorReader, buffers: Buffers) -> Iterator[NDArray[Any]]:
    """The bytes of `tensor` in row-major order, some at a time."""
    pieces = Pieces.of([tensor])
    out = buffers.each if tensor.is_in_order else []
    for piece in range(pieces.number):
        yield from (reader.read(tensor, *step, *out) for step in pieces.steps(piece))


def _sha256(parts: Iterable[NDArray[Any]], workers: Workers) -> str:
    """Of all `parts`, one after another. If the `workers` are stopping, nobody wants it any more."""
    digest = hashlib.sha256()
    for part in parts:
        if workers.is_stopping:
            break
        digest.update(part.data)
    return digest.hexdigest()
