"""Files in which each rank wrote its slice of each tensor as safetensors. Together they are one checkpoint.

`HuggingFaceStorageWriter(save_distributed=True)` of torch.distributed.checkpoint writes them if it does not consolidate
(torch/distributed/checkpoint/hf_storage.py): `shard-00002-model-00001-of-00001.safetensors` is the file of rank 1. The
metadata of each file says under `DCP_SHARDING_INFO` where its slices begin (filesystem.py). The size of a tensor
follows from its slices, as in torch's reader.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from initctl.errors import InputError, Problem, listed, shown
from initctl.formats.file_formats import SLICES
from initctl.formats.opening import Malformed, names_in
from initctl.formats.parts.tiling import tiling_fault
from initctl.formats.strict_json import parse_object
from initctl.formats.table import Entry, FileTable
from initctl.tensors import Shape, TensorSpec, are_sizes

if TYPE_CHECKING:
    from initctl.formats.torch_save.looks import Looks

SHARDING = "DCP_SHARDING_INFO"
_VERSION = "DCP_VERSION"
_OFFSETS = "saved_offsets"
_OF_A_RANK = r"shard-(?P<rank>\d+)-model-\d+-of-\d+\.safetensors"
"""The name that the writer gives a file."""


def are_slices(table: FileTable) -> bool:
    """Whether the file of `table` says where slices begin."""
    return SHARDING in table.metadata


def refuse_lone_slices(path: str, table: FileTable) -> None:
    """Raise `InputError` if the single file at `path` contains only parts of tensors."""
    if not are_slices(table):
        return
    directory, name = os.path.split(path)
    if not _files_of_other_ranks(directory, name) and not any(map(any, _starts(path, table).values())):
        return
    message = f"{shown(path)}: contains only one rank's slices of tensors ({SHARDING})"
    hint = f"name the directory to read all ranks as one checkpoint: {shown(directory or '.')}"
    raise InputError(Problem("file.slices", message, hint))


def _files_of_other_ranks(directory: str, name: str) -> list[str]:
    own = re.fullmatch(_OF_A_RANK, name)
    found = (re.fullmatch(_OF_A_RANK, other) for other in names_in(directory or ".")) if own else ()
    return [other.string for other in found if other and own and other["rank"] != own["rank"]]


def put_together(path: str, tables: Sequence[FileTable]) -> list[FileTable]:
    """`tables` of the files in the directory at `path` with whole tensors. Each is in the table of its first slice.

    Their metadata no longer says where slices begin. Raises `InputError`.
    """
    from initctl.formats.torch_save.looks import Looks

    if plain := [shown(table.file.name) for table in tables if not are_slices(table)]:
        hint = "move other checkpoints to another directory"
        _refuse(path, f"contains slices of ranks, but also {listed(plain)} without {SHARDING}", hint)
    slices: dict[str, list[TensorSpec]] = defaultdict(list)
    for table in tables:
        starts = _starts(os.path.join(path, table.file.name), table)
        for _, tensor in table.entries:
            block = tensor.blocks[0]._replace(start=starts[tensor.name])
            slices[tensor.name].append(replace(tensor, blocks=(block,)))
    looks = Looks()
    whole = {name: _whole(path, found, looks) for name, found in slices.items()}
    return [_with_wholes(table, whole) for table in tables]


def _starts(path: str, table: FileTable) -> dict[str, Shape]:
    """The index at which each tensor's slice begins, from the metadata of the file at `path`. Raises `InputError`."""
    try:
        noted = parse_object(table.metadata[SHARDING].encode())
    except Malformed as error:
        _refuse(path, f"{SHARDING}: {error}")
    starts: dict[str, Shape] = {}
    for _, tensor in table.entries:
        place = noted.get(tensor.name)
        start = place.get(_OFFSETS) if isinstance(place, dict) else None
        if not (isinstance(start, list) and are_sizes(start)) or len(start) != len(tensor.shape):
            _refuse(path, f"{SHARDING}: has no valid {_OFFSETS} for tensor {shown(tensor.name)}")
        starts[tensor.name] = tuple(start)
    return starts


def _whole(path: str, slices: Sequence[TensorSpec], looks: Looks) -> TensorSpec:
    first = slices[0]
    if len({(tensor.dtype, len(tensor.shape)) for tensor in slices}) > 1:
        _refuse(path, f"tensor {shown(first.name)}: its slices differ in dtype or number of dimensions")
    blocks = [block for tensor in slices for block in tensor.blocks]
    ends = ((b + size for b, size in zip(block.start, block.shape, strict=True)) for block in blocks)
    shape = tuple(max(reached) for reached in zip(*ends, strict=True))
    filled = tuple(block for block in blocks if block.numel)
    try:
        fault = tiling_fault(shape, [(block.start, block.shape) for block in filled], looks.spend, called="slice")
    except Malformed as fact:
        _refuse(path, f"tensor {shown(first.name)}: {fact}")
    if fault:
        _refuse(path, f"tensor {shown(first.name)}: {fault}", "get the files of all ranks from the same save")
    return replace(first, shape=shape, blocks=filled, unwritable=_reason(first, filled))


def _reason(tensor: TensorSpec, blocks: Sequence[object]) -> str | None:
    in_bits = tensor.dtype.bits % 8 and len(blocks) > 1
    return "it is stored in slices, and its elements are smaller than a byte" if in_bits else tensor.unwritable


def _with_wholes(table: FileTable, whole: dict[str, TensorSpec]) -> FileTable:
    """`table` with its tensors from `whole`, which are removed there, so that each is in one table."""
    entries = tuple(Entry(keys, whole.pop(t.name)) for keys, t in table.entries if t.name in whole)
    metadata = {key: text for key, text in table.metadata.items() if key not in (SHARDING, _VERSION)}
    return replace(table, format=SLICES, entries=entries, metadata=metadata)


def _refuse(path: str, fault: str, hint: str | None = None) -> NoReturn:
    raise InputError(Problem("slices.malformed", f"{shown(path)}: {fault}", hint))
