"""The files of the result of a reshaped checkpoint that differ from the old ones around their tensors: the header of
each shard with a new shape, the index with its sums, and `config.json`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.formats.config import CONFIG, LONGEST, Setting
from initctl.formats.directories.index import LONGEST as LONGEST_INDEX
from initctl.formats.opening import read_small
from initctl.formats.safetensors import read_table
from initctl.formats.strict_json import parse_object
from initctl.formats.writing.formats import Layout
from initctl.formats.writing.safetensors import laid_out
from initctl.grouping import grouped
from initctl.reshaping.json_text import edited

if TYPE_CHECKING:
    from initctl.formats import Checkpoint, CheckpointFile
    from initctl.tensors import TensorSpec

_SUMS = "metadata"
"""The table of an index with sums over all tensors."""


class RenewedFile(NamedTuple):
    """The `layout` of what `file` becomes, and its tensors, each with the offset at which it begins there."""

    file: CheckpointFile
    layout: Layout
    tensors: tuple[tuple[TensorSpec, int], ...] = ()


def renewed_files(checkpoint: Checkpoint) -> dict[str, RenewedFile]:
    """The files that change around their tensors, by name. Only safetensors can get other shapes without a conversion,
    which writes all files but `config.json` in its own way.

    Raises `ConflictError` if a file changed, and `InputError` if one cannot be read.
    """
    checkpoint.check_unchanged(checkpoint.files)
    found = list(_config(checkpoint))
    if checkpoint.is_safetensors and checkpoint.resized:
        files = _with_new_shapes(checkpoint)
        found += [_shard(checkpoint, file) for file in checkpoint.files if file.name in files]
        found += _index(checkpoint)
    return {new.file.name: new for new in found}


def config_text(checkpoint: Checkpoint) -> bytes:
    """The new content of `config.json`: the old text with other values. Raises `InputError`."""
    text = read_small(os.path.join(checkpoint.home, CONFIG), LONGEST).decode()
    return edited(text, checkpoint.result.fields).encode()


def _with_new_shapes(checkpoint: Checkpoint) -> set[str]:
    return {file for tensor in checkpoint.resized if tensor.old for file in tensor.old.files}


def _shard(checkpoint: Checkpoint, file: CheckpointFile) -> RenewedFile:
    """A file of safetensors with a new header. Its metadata stays, and so do the names that it uses."""
    table = read_table(os.path.join(checkpoint.directory, file.name), file.name)
    held = (*checkpoint.tensors, *checkpoint.outside)
    known = grouped(
        (_key(tensor.old or tensor), tensor) for tensor in held if (tensor.old or tensor).files == (file.name,)
    )
    pairs = [(entry.tensor, _named(entry.tensor.name, known[_key(entry.tensor)])) for entry in table.entries]
    layout = laid_out([replace(stored, shape=tensor.shape) for stored, tensor in pairs], table.metadata)
    return RenewedFile(file, layout, tuple((tensor, layout.offsets[stored.name]) for stored, tensor in pairs))


def _key(tensor: TensorSpec) -> object:
    """A key that is equal for a tensor of a file and the same one of a checkpoint, which may call it by a shorter name.
    Tensors without elements may share a key.
    """
    return tensor.blocks, tensor.dtype.name


def _named(name: str, tensors: Iterable[TensorSpec]) -> TensorSpec:
    """The one of `tensors` that a file calls `name`."""
    return max((tensor for tensor in tensors if name.endswith(tensor.name)), key=lambda tensor: len(tensor.name))


def _index(checkpoint: Checkpoint) -> Iterator[RenewedFile]:
    name = checkpoint.described_by
    file = checkpoint.file(os.path.basename(name)) if name else None
    if file is None:
        return
    content = read_small(os.path.join(checkpoint.directory, file.name), LONGEST_INDEX)
    if settings := list(_new_sums(parse_object(content).get(_SUMS), checkpoint.resized)):
        yield _of_text(file, edited(content.decode(), settings).encode())


def _new_sums(sums: Any, tensors: Iterable[TensorSpec]) -> Iterator[Setting]:  # noqa: ANN401 - whatever the file holds
    """The sums of an index after `tensors` got new shapes."""
    pairs = [(tensor, tensor.old) for tensor in tensors if tensor.old]
    more = {
        "total_size": sum(tensor.nbytes - old.nbytes for tensor, old in pairs),
        "total_parameters": sum(tensor.numel - old.numel for tensor, old in pairs),
    }
    for name, added in more.items():
        number = sums.get(name) if isinstance(sums, Mapping) else None
        if added and isinstance(number, (int, float)) and not isinstance(number, bool):
            yield Setting((_SUMS, name), number + added)


def _config(checkpoint: Checkpoint) -> Iterator[RenewedFile]:
    if checkpoint.result.fields and (file := checkpoint.file(CONFIG)):
        yield _of_text(file, config_text(checkpoint))


def _of_text(file: CheckpointFile, text: bytes) -> RenewedFile:
    return RenewedFile(file, Layout([(0, text)], {}, len(text)))
