"""SHA-256 of tensors and of files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from initctl.coworkers import ALONE, merged
from initctl.dtypes import BY_NAME
from initctl.layout.pieces import Pieces, grouped
from initctl.reading import Buffers, TensorReader, in_numbers
from initctl.tensors import TensorSpec
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.coworkers import Coworkers
    from initctl.events import Progress
    from initctl.formats import Checkpoint, CheckpointFile


_Key = TypeVar("_Key")

_SMALL = 1 << 13
"""Tensors with at most this many numbers share a task with others."""


class Hashers(NamedTuple):
    """Who hashes: `threads` of this process, beside its `coworkers`; and who hears of the progress."""

    threads: int
    coworkers: Coworkers = ALONE
    on_event: Callable[[Progress], None] | None = None


def tensor_digests(checkpoint: Checkpoint, tensors: Iterable[TensorSpec], by: Hashers) -> dict[str, str | None]:
    """The SHA-256 of each of `tensors` by name: of its bytes in row-major order, as `initctl.stats` gives it.

    None for a tensor whose elements are not stored one by one, such as a sparse or a meta tensor.
    """
    places = {tensor.name: (tensor.dtype, tensor.blocks) for tensor in tensors}
    distinct = {(tensor.dtype, tensor.blocks): in_numbers(tensor) for tensor in tensors}
    stored = {place: tensor for place, tensor in distinct.items() if _is_stored(tensor)}
    found = _hashed(TensorReader(checkpoint), stored, by)
    checkpoint.check_unchanged(checkpoint.files)
    return {name: found.get(place) for name, place in places.items()}


def file_digests(checkpoint: Checkpoint, files: Sequence[CheckpointFile], by: Hashers) -> dict[str, str]:
    """The SHA-256 of each of `files`, which belong to `checkpoint`, by name.

    Raises `ConflictError` if one changed, `StorageError` if it cannot be read.
    """
    byte = BY_NAME["uint8"]
    whole = {file.name: TensorSpec.contiguous(file.name, byte, (file.size,), file.name, 0) for file in files}
    return _hashed(TensorReader(checkpoint, files), whole, by)


def _is_stored(tensor: TensorSpec) -> bool:
    """Whether its elements are stored one by one."""
    return not tensor.unwritable and tensor.dtype.kind != "packed"


def _hashed(reader: TensorReader, tensors: Mapping[_Key, TensorSpec], by: Hashers) -> dict[_Key, str]:
    """The SHA-256 of each of `tensors`, which `reader` reads."""
    keys, numbered = list(tensors), list(tensors.values())
    own = by.coworkers.own([tensor.nbytes for tensor in numbered])
    found: dict[int, str] = {}
    buffers = Buffers()

    def add(numbers: Sequence[int]) -> None:
        for number in numbers:
            digest = hashlib.sha256()
            for part in _parts(numbered[number], reader, buffers):
                if workers.is_stopping:
                    return
                digest.update(part.data)
            found[number] = digest.hexdigest()

    with reader, Workers(by.threads, by.on_event) as workers:
        workers.total += sum(numbered[number].nbytes for number in own)
        workers.run(
            Task(sum(numbered[number].nbytes for number in numbers), partial(add, numbers))
            for numbers, _ in grouped(((number, (numbered[number],)) for number in own), _SMALL)
        )
    hashed = merged(by.coworkers.all_of(found))
    return {key: hashed[number] for number, key in enumerate(keys)}


def _parts(tensor: TensorSpec, reader: TensorReader, buffers: Buffers) -> Iterator[NDArray[Any]]:
    """The bytes of `tensor` in row-major order, in pieces."""
    pieces = Pieces.of([tensor])
    out = buffers.each if tensor.is_in_order else []
    for piece in range(pieces.number):
        yield from (reader.read(tensor, *step, *out) for step in pieces.steps(piece))
