"""SHA-256 of tensors, whatever files they are in, and of files."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from initctl.reading import TensorReader, in_numbers, read_array
from initctl.statistics import measured
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from initctl.events import Progress
    from initctl.formats import Checkpoint, CheckpointFile
    from initctl.tensors import TensorSpec

    OnEvent = Callable[[Progress], None] | None

_AT_ONCE = 1 << 20
"""Bytes that are read and hashed at a time."""


def tensor_digests(
    checkpoint: Checkpoint, tensors: Iterable[TensorSpec], *, threads: int, on_event: OnEvent = None
) -> dict[str, str | None]:
    """The SHA-256 of each of `tensors` by name: of its bytes in row-major order, as `initctl.stats` gives it.

    None if its elements are not stored as such: of a sparse or a meta tensor.
    """
    places = {tensor.name: (tensor.dtype, tensor.blocks) for tensor in tensors}
    distinct = {(tensor.dtype, tensor.blocks): in_numbers(tensor) for tensor in tensors}
    found = measured(checkpoint, list(distinct.values()), digest=True, threads=threads, on_event=on_event)
    by_place = dict(zip(distinct, (one.digest for one in found), strict=True))
    return {name: by_place[place] for name, place in places.items()}


def file_digests(
    checkpoint: Checkpoint, files: Sequence[CheckpointFile], *, threads: int, on_event: OnEvent = None
) -> dict[str, str]:
    """The SHA-256 of each of `files`, which belong to `checkpoint`, by name.

    Raises `ConflictError` if one changed, `StorageError` if it cannot be read.
    """
    found: dict[str, str] = {}

    def add(file: CheckpointFile) -> None:
        digest = hashlib.sha256()
        with reader.opened(file.name) as descriptor:
            for start in range(0, file.size, _AT_ONCE):
                if workers.is_stopping:
                    return
                digest.update(read_array(descriptor, start, min(start + _AT_ONCE, file.size)).data)
        found[file.name] = digest.hexdigest()

    with TensorReader(checkpoint, files) as reader, Workers(threads, on_event) as workers:
        workers.total += sum(file.size for file in files)
        workers.run(Task(file.size, partial(add, file)) for file in files)
    return {file.name: found[file.name] for file in files}
