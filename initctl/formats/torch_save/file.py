"""One file that torch.save wrote: the format is told by its content."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from initctl.dtypes import BY_NAME
from initctl.errors import InputError, Problem, shown
from initctl.formats.checkpoint_file import CheckpointFile
from initctl.formats.format_names import TORCH, TORCH_LEGACY
from initctl.formats.reading import open_regular, read_at
from initctl.formats.table import Entry, Table
from initctl.formats.torch_save import archive, legacy
from initctl.formats.torch_save.contents import contents_of, in_a_word, tensors_in
from initctl.formats.torch_save.dangers import dangers
from initctl.formats.torch_save.held import Held
from initctl.formats.torch_save.malformed import Malformed
from initctl.formats.torch_save.parallel import of_one_rank
from initctl.formats.torch_save.parts import Parts, is_container
from initctl.formats.torch_save.states import optimizers_in
from initctl.formats.torch_save.tensors import described, storage_of
from initctl.formats.torch_save.values import Global, Made, Placed
from initctl.tensors import Block, TensorSpec, row_major

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initctl.formats.optimizers import OptimizerFacts
    from initctl.formats.table import Keys
    from initctl.formats.torch_save.inert import Pickle
    from initctl.formats.torch_save.saved import ByteRange, SavedObject
    from initctl.tensors import Shape


def read_table(path: str, name: str) -> Table:
    """The table of the file at `path`, which the checkpoint calls `name`. Raises `InputError`."""
    descriptor, status = open_regular(path)
    try:
        zipped = read_at(descriptor, len(_ZIP), 0) == _ZIP
        saved = (
            archive.read_saved(descriptor, 0, status.st_size)
            if zipped
            else legacy.read_saved(descriptor, status.st_size)
        )
        held = _held(saved.pickle)
        entries = tuple(_entry(keys, made, saved, name) for keys, made in tensors_in(held))
        optimizers = _optimizers(held, saved.origin, name)
        contents = contents_of(held.value, held.parts)
        unlisted = tuple(_unlisted(held, saved.storages, name))
        rank = of_one_rank(held.value, saved.pickle.calls.named, held.parts)
    except Malformed as fact:
        raise InputError(Problem("torch.malformed", f"{shown(path)}: {fact}", fact.hint)) from None
    finally:
        os.close(descriptor)
    return Table(
        TORCH if zipped else TORCH_LEGACY,
        CheckpointFile.of(name, status, saved.checksums),
        entries,
        saved.metadata,
        contents,
        dangers(path, saved.pickle.calls),
        optimizers,
        unlisted,
        rank,
    )


def check_saved(path: str) -> None:
    """Raise `InputError` unless torch.save wrote the file at `path`. Of an archive, only the directory is read."""
    descriptor, status = open_regular(path)
    try:
        if read_at(descriptor, len(_ZIP), 0) == _ZIP:
            archive.read_archive(descriptor, 0, status.st_size)
        else:
            legacy.read_saved(descriptor, status.st_size)
    except Malformed as fact:
        raise InputError(Problem("torch.malformed", f"{shown(path)}: {fact}", fact.hint)) from None
    finally:
        os.close(descriptor)


def _held(pickle: Pickle) -> Held:
    """What lies in the object. Raises `Malformed` where it is none that tensors have names in."""
    if not is_container(pickle.value):
        raise Malformed(f"holds {shown(in_a_word(pickle.value))}, and no tensors with names", "save a state_dict()")
    return Held(pickle.value, Parts(), pickle.discarded)


def _optimizers(held: Held, origin: int, file: str) -> dict[str, OptimizerFacts]:
    """What the object says of optimizers. Places in its pickle count from byte `origin` of `file`."""

    def scalar(name: str, value: object) -> TensorSpec | None:
        if not isinstance(value, Placed):
            return None
        return TensorSpec.contiguous(name, _PLACED[value.width], (), file, origin + value.position)

    return optimizers_in(held, scalar)


def _unlisted(held: Held, storages: Mapping[str, ByteRange], file: str) -> Iterator[TensorSpec]:
    """What something leads to beside tensors that are listed: the bytes of other tensors, and whole storages."""
    told: set[tuple[Block, ...]] = set()
    for keys, found in held.unlisted():
        with suppress(Malformed):  # a tensor that could not be loaded
            if isinstance(found, Made):
                tensor = tensor_at(found, storages, file)
            else:
                start, stop = storages.get(storage_of(found)[0].key, (0, 0))
                tensor = TensorSpec.contiguous("", BY_NAME["uint8"], (stop - start,), file, start)
            if tensor.numel and tensor.blocks not in told:
                told.add(tensor.blocks)
                yield replace(tensor, name=_place(keys))


def _place(keys: Keys | None) -> str:
    """Where something is kept that has no name."""
    if keys is None:
        return "a place without a name"
    return ".".join(_key_text(key)[:_SHOWN_KEY] for key in keys)[:_SHOWN_KEYS] or "the top"


def _entry(keys: Keys, made: Made, saved: SavedObject, file: str) -> Entry:
    name = ".".join(map(_key_text, keys))
    try:
        tensor = tensor_at(made, saved.storages, file, name)
    except Malformed as fact:
        raise Malformed(f"tensor {shown(name)}: {fact}", fact.hint) from None
    if not all(type(key) in _NAMED for key in keys):
        tensor = replace(tensor, unwritable="a key that leads to it is no text")
    return Entry(keys, tensor)


def tensor_at(value: Made, storages: Mapping[str, ByteRange], file: str, name: str = "") -> TensorSpec:
    """The tensor that `value` describes, called `name`, with its bytes in `storages` of `file`. Raises `Malformed`."""
    found = described(value)
    if found.storage is None:
        return TensorSpec(name, found.dtype, found.shape, (), unwritable=found.unwritable)
    place = storages.get(found.storage.key)
    if place is None:
        raise Malformed(f"its storage {shown(found.storage.key)} is not there")
    if place.stop - place.start != found.storage.nbytes:
        held = f"{place.stop - place.start} bytes, and is said to have {found.storage.nbytes}"
        raise Malformed(f"its storage {shown(found.storage.key)} has {held}")
    offset = place.start + found.offset * found.dtype.bits // 8
    block = Block(file, offset, (0,) * len(found.shape), found.shape, _plain(found.shape, found.strides))
    unwritable = found.unwritable
    if block.numel and block.distinct.overlaps_itself:
        unwritable = unwritable or "its elements share memory with each other"
    return TensorSpec(name, found.dtype, found.shape, (block,), unwritable=unwritable)


def _plain(shape: Shape, strides: Shape) -> Shape:
    """`strides` without what torch leaves in dims of one element, so that equal layouts are told as equal."""
    triples = zip(shape, strides, row_major(shape), strict=True)
    return tuple(usual if size == 1 else stride for size, stride, usual in triples)


def _key_text(key: object) -> str:
    """A key as a part of a name; what is neither text nor a number is told by its type."""
    if isinstance(key, str):
        return key
    if isinstance(key, int) and type(key) in _NAMED and key.bit_length() <= _LONGEST_NUMBER:
        return str(key)
    return "<object>" if isinstance(key, (Made, Global)) else f"<{type(key).__name__}>"


_ZIP = b"PK"
_PLACED = {1: BY_NAME["uint8"], 2: BY_NAME["uint16"], 4: BY_NAME["int32"]}
"""What numbers inside a pickle are, by their bytes."""
_NAMED = (str, int, Placed)
_SHOWN_KEY, _SHOWN_KEYS = 40, 120
"""Characters."""
_LONGEST_NUMBER = 64
"""Bits."""
