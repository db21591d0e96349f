"""Formats that packages add: what their readers find in a file is proven before it counts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import BinaryIO, NamedTuple

from initctl.dtypes import BY_NAME
from initctl.errors import InputError, Problem, shown
from initctl.formats.checkpoint_file import CheckpointFile
from initctl.formats.file_formats import FileFormat
from initctl.formats.opening import Malformed, open_regular, refusing
from initctl.formats.table import Entry, FileTable
from initctl.tensors import LARGEST_SIZE, Block, TensorSpec, are_sizes, row_major


class StoredTensor(NamedTuple):
    """A tensor in a file, little-endian.

    `dtype` is torch's name for the type of its elements: `float32`, `bfloat16`. The first one begins at byte `offset`
    of the file, and neighbors along each dim are `strides` elements apart: without them, the order is row-major.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    strides: tuple[int, ...] | None = None


class FileContents(NamedTuple):
    """What a file holds: tensors, and texts that describe it."""

    tensors: Sequence[StoredTensor]
    metadata: Mapping[str, str] = {}


def file_format(
    name: str, title: str, *, is_at: Callable[[bytes], bool], read: Callable[[BinaryIO], FileContents]
) -> FileFormat:
    """A format of files that initctl reads and does not write: `name` is a word for JSON, `title` is for messages.

    `is_at(content)` says whether a file with these first 4096 bytes, or fewer, is in it. `read(file)` lists what such a
    file holds, and raises `Malformed` if the file is damaged. Files that list a tensor outside of the file, or two
    tensors in overlapping places, are refused; equal places make tensors tied.
    """
    if not name.isidentifier():
        raise ValueError(f"the name of a format is a word, and not {name!r}")
    return FileFormat(name, is_at, partial(_read_table, name, title, read))


def _read_table(form: str, title: str, read: Callable[[BinaryIO], FileContents], path: str, name: str) -> FileTable:
    descriptor, status = open_regular(path)
    try:
        with refusing(path, form), os.fdopen(descriptor, "rb") as file:
            contents = read(file)
            tensors = [_proven(tensor, name, status.st_size) for tensor in contents.tensors]
            _check_apart(tensors)
            metadata = {str(key): str(text) for key, text in contents.metadata.items()}
    except (InputError, MemoryError):
        raise
    except Exception as error:
        fault = f"{shown(path)}: cannot be read as {title}: {type(error).__name__}: {shown(error)}"
        raise InputError(Problem(f"{form}.unreadable", fault)) from error
    entries = tuple(Entry((tensor.name,), tensor) for tensor in tensors)
    return FileTable(form, CheckpointFile.of(name, status), entries, metadata, read_only=title)


def _proven(found: StoredTensor, file: str, size: int) -> TensorSpec:
    """The tensor that is `found` in `file` of `size` bytes. Raises `Malformed`."""
    name, shape = str(found.name), tuple(found.shape)
    called = f"tensor {shown(name)}"
    dtype = BY_NAME.get(found.dtype)
    if dtype is None or dtype.bits % 8:
        raise Malformed(f"{called}: is of dtype {shown(found.dtype)}")
    strides = row_major(shape) if found.strides is None else tuple(found.strides)
    if len(strides) != len(shape) or not are_sizes((found.offset, *shape, *strides)):
        raise Malformed(f"{called}: its shape, strides and offset are not whole numbers, 0 or more")
    if prod(shape) >= LARGEST_SIZE:
        raise Malformed(f"{called}: its shape holds more elements than a file can")
    block = Block(file, found.offset, (0,) * len(shape), shape, strides)
    if block.numel and block.overlaps_itself:
        raise Malformed(f"{called}: its elements overlap each other")
    spec = TensorSpec(name, dtype, shape, (block,))
    if _stop(spec) > size:
        raise Malformed(f"{called}: reaches beyond the end of the file", "a truncated download? get the file anew")
    return spec


def _stop(tensor: TensorSpec) -> int:
    """The byte behind the last one of the tensor."""
    block = tensor.blocks[0]
    return block.offset + (block.extent * tensor.dtype.bits // 8 if block.numel else 0)


def _check_apart(tensors: Sequence[TensorSpec]) -> None:
    """Raise `Malformed` if two tensors have one name, or overlap without being the same."""
    for name, count in Counter(tensor.name for tensor in tensors).items():
        if count > 1:
            raise Malformed(f"tensor {shown(name)}: is there twice")
    reached, last = 0, None
    for tensor in sorted((t for t in tensors if t.numel), key=lambda tensor: tensor.blocks[0].offset):
        place = (tensor.dtype, tensor.blocks)
        if tensor.blocks[0].offset < reached and place != last:
            raise Malformed(f"tensor {shown(tensor.name)}: overlaps another tensor")
        reached, last = _stop(tensor), place
