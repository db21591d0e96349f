"""The table that `initctl inspect --json` writes, or one in its form. The file may be hostile."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from initctl.dtypes import BY_NAME, DType
from initctl.errors import shown
from initctl.formats.checkpoint import Checkpoint
from initctl.formats.file_formats import SAFETENSORS
from initctl.formats.mistaken.remote import refuse_missing
from initctl.formats.opening import Malformed, read_small, refusing, status_at
from initctl.formats.state_dicts.ties import with_aliases
from initctl.formats.strict_json import parse_object
from initctl.suggestions import did_you_mean
from initctl.tensors import LARGEST_SIZE, Shape, TensorSpec, are_sizes

_LONGEST = 256_000_000
"""Bytes: a million tensors."""
_DEEPEST = 64
"""The most dims of a tensor; torch has the same limit."""
_HINT = "`initctl inspect CHECKPOINT --json` writes such a table"


def read_listed(path: str) -> Checkpoint:
    """The table in the JSON file at `path`, as a checkpoint without files. Raises `InputError`."""
    if not status_at(path, follow=False):
        refuse_missing(path)
    with refusing(path, "table", "is not a table of tensors", _HINT):
        tensors, metadata = _Table(parse_object(read_small(path, _LONGEST))).read()
    for entries in metadata.values():
        tensors = with_aliases(tensors, entries)
    place = os.path.realpath(path)
    return Checkpoint(
        path=path,
        directory=os.path.dirname(place),
        target=place,
        format=SAFETENSORS,
        files=(),
        tensors=tuple(tensors),
        metadata=metadata,
    )


class _Table:
    """The `document`: the data of `inspect`, alone or in the envelope of every command."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        is_envelope = isinstance(document.get("data"), dict) and "tensors" not in document
        self.data: Mapping[str, Any] = document["data"] if is_envelope else document

    def read(self) -> tuple[Sequence[TensorSpec], Mapping[str, Mapping[str, str]]]:
        """The tensors, without values, and the metadata of each file of safetensors. Raises `Malformed`."""
        entries = self.data.get("tensors")
        if not isinstance(entries, list):
            raise Malformed('there is no list "tensors"')
        found: dict[str, TensorSpec] = {}
        for number, entry in enumerate(entries):
            tensor = _tensor(entry, f"tensors[{number}]")
            if tensor.name in found:
                raise Malformed(f"tensor {shown(tensor.name)} is listed twice")
            found[tensor.name] = tensor
        if sum(tensor.nbytes for tensor in found.values()) >= LARGEST_SIZE:
            raise Malformed("all tensors together have too many bytes")
        return list(_with_ties(entries, found)), self._metadata()

    def _metadata(self) -> dict[str, Mapping[str, str]]:
        metadata = self.data.get("metadata", {})
        if not isinstance(metadata, dict) or not all(map(_is_text, metadata.values())):
            raise Malformed('"metadata" must give texts by name, for each file')
        form = self.data.get("format", SAFETENSORS)
        return metadata if isinstance(form, str) and form.startswith(SAFETENSORS) else {}


def _is_text(entries: object) -> bool:
    return isinstance(entries, dict) and all(isinstance(text, str) for text in entries.values())


def _tensor(entry: object, place: str) -> TensorSpec:
    """The tensor that `entry` describes. Raises `Malformed`."""
    if not isinstance(entry, dict):
        raise Malformed(f"{place} is not an object")
    name = entry.get("name")
    if not isinstance(name, str):
        raise Malformed(f"{place} has no name")
    dtype, shape = _dtype(entry.get("dtype"), name), _shape(entry.get("shape"), name)
    size = dtype.bits
    for extent in shape:
        size *= max(extent, 1)
        if size >= LARGEST_SIZE * 8:
            raise Malformed(f"tensor {shown(name)} is too large")
    if size % 8 and 0 not in shape:
        raise Malformed(f"tensor {shown(name)} does not fill whole bytes")
    why = entry.get("unwritable")
    return TensorSpec(name, dtype, shape, (), unwritable=why if isinstance(why, str) else None)


def _dtype(given: object, name: str) -> DType:
    found = BY_NAME.get(given) if isinstance(given, str) else None
    if found is None:
        hint = did_you_mean(given, BY_NAME) if isinstance(given, str) else None
        raise Malformed(f"tensor {shown(name)}: unknown dtype {shown(repr(given))}", hint)
    return found


def _shape(given: object, name: str) -> Shape:
    if not (isinstance(given, list) and len(given) <= _DEEPEST and are_sizes(given)):
        raise Malformed(f"tensor {shown(name)}: its shape must be a list of at most {_DEEPEST} whole numbers")
    return tuple(given)


def _with_ties(entries: Sequence[Mapping[str, Any]], found: Mapping[str, TensorSpec]) -> Iterator[TensorSpec]:
    """The tensors, tied as `tied_to` says. Raises `Malformed` if that names another kind of tensor, or none."""
    groups: dict[str, list[str]] = {}
    for entry in entries:
        name, tied_to = entry["name"], entry.get("tied_to")
        if tied_to is None:
            continue
        other = found.get(tied_to) if isinstance(tied_to, str) else None
        if other is None or (other.dtype, other.shape) != (found[name].dtype, found[name].shape):
            raise Malformed(f"tensor {shown(name)}: tied_to must name a tensor of the same dtype and shape")
        groups.setdefault(tied_to, [tied_to]).append(name)
    tied = {name: tuple(sorted(names)) for names in groups.values() for name in names}
    if sum(map(len, groups.values())) != len(tied):
        raise Malformed("tied_to must name the first of the tied tensors")
    yield from (replace(t, tied=tied[t.name]) if t.name in tied else t for t in found.values())
