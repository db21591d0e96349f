"""Formats that packages add. The tensors that their readers find are checked before they are used."""

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

    `dtype` is torch's name for it: `float32`, `bfloat16`. The first element begins at byte `offset` of the file.
    `strides` are in elements, one for each dimension; None means row-major order.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    strides: tuple[int, ...] | None = None


class FileContents(NamedTuple):
    """The content of a file: tensors, and texts that describe it."""

    tensors: Sequence[StoredTensor]
    metadata: Mapping[str, str] = {}


def file_format(
    name: str, title: str, *, is_at: Callable[[bytes], bool], read: Callable[[BinaryIO], FileContents]
) -> FileFormat:
    """A format that initctl reads but does not write. JSON calls it `name`, an identifier; messages call it `title`.

    `is_at(content)` says whether a file that begins with these 4096 bytes, or fewer, is in the format. `read(file)`
    gives its contents, and raises `Malformed` if the file is damaged. A file is refused if a tensor reaches beyond its
    end, or if two tensors overlap; two tensors at the same place are tied.
    """
    if not name.isidentifier():
        raise ValueError(f"the name of a format must be an identifier, but is {name!r}")
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
    """The tensor `found` in `file`, which has `size` bytes. Raises `Malformed`."""
    name, shape = str(found.name), tuple(found.shape)
    called = f"tensor {shown(name)}"
    dtype = BY_NAME.get(found.dtype)
    if dtype is None or dtype.bits % 8:
        raise Malformed(f"{called}: dtype {shown(found.dtype)} is not supported")
    strides = row_major(shape) if found.strides is None else tuple(found.strides)
    if len(strides) != len(shape) or not are_sizes((found.offset, *shape, *strides)):
        raise Malformed(f"{called}: its shape, strides and offset must be whole numbers, 0 or more")
    if prod(shape) >= LARGEST_SIZE:
        raise Malformed(f"{called}: its shape has more elements than a file can hold")
    block = Block(file, found.offset, (0,) * len(shape), shape, strides)
    if block.numel and block.overlaps_itself:
        raise Malformed(f"{called}: its elements overlap each other")
    spec = TensorSpec(name, dtype, shape, (block,))
    if _stop(spec) > size:
        hint = "if the download was truncated, download the file again"
        raise Malformed(f"{called}: reaches beyond the end of the file", hint)
    return spec


def _stop(tensor: TensorSpec) -> int:
    """The offset after the last byte of the tensor."""
    block = tensor.blocks[0]
    return block.offset + (block.extent * tensor.dtype.bits // 8 if block.numel else 0)


def _check_apart(tensors: Sequence[TensorSpec]) -> None:
    """Raise `Malformed` if two tensors have the same name, or overlap without being equal."""
    for name, count in Counter(tensor.name for tensor in tensors).items():
        if count > 1:
            raise Malformed(f"tensor {shown(name)}: is listed twice")
    reached, last = 0, None
    for tensor in sorted((t for t in tensors if t.numel), key=lambda tensor: tensor.blocks[0].offset):
        place = (tensor.dtype, tensor.blocks)
        if tensor.blocks[0].offset < reached and place != last:
            raise Malformed(f"tensor {shown(tensor.name)}: overlaps another tensor")
        reached, last = _stop(tensor), place
