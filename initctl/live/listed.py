"""The table that `initctl inspect --json` printed, as a checkpoint without files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from initctl.dtypes import BY_NAME
from initctl.errors import shown
from initctl.formats import Checkpoint
from initctl.formats.opening import Malformed, read_small, refusing
from initctl.formats.state_dicts.ties import with_aliases
from initctl.formats.strict_json import parse_object
from initctl.grouping import grouped
from initctl.planning.documents import LONGEST
from initctl.tensors import TensorSpec, are_sizes


def read_listed(path: str) -> Checkpoint:
    """The table in the file at `path`. Raises `InputError`."""
    with refusing(path, "table", "is not the table of a checkpoint", "give the path of the checkpoint instead"):
        document = parse_object(read_small(path, LONGEST))
        data = document.get("data")
        rows = data.get("tensors") if isinstance(data, dict) else None
        if document.get("command") != "inspect" or not isinstance(data, dict) or not isinstance(rows, list):
            raise Malformed("it is not what this command prints")
        tensors = _tied(rows, [_tensor(row) for row in rows])
        metadata = data.get("metadata")
        for entries in metadata.values() if isinstance(metadata, dict) else ():
            tensors = with_aliases(tensors, _texts(entries))
    return Checkpoint(path=path, directory="", target=path, format=str(data.get("format")), files=(), tensors=tensors)


def _tensor(row: object) -> TensorSpec:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise Malformed("a tensor has no name")
    name, shape, dtype = row["name"], row.get("shape"), row.get("dtype")
    if not isinstance(shape, list) or not are_sizes(shape) or dtype not in BY_NAME:
        raise Malformed(f"tensor {shown(name)}: has no shape and dtype")
    why = row.get("unwritable")
    return TensorSpec(name, BY_NAME[dtype], tuple(shape), (), unwritable=why if isinstance(why, str) else None)


def _tied(rows: Iterable[Mapping[str, Any]], tensors: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """`tensors` with their ties: each of `rows` names the first of the tensors that share its memory."""
    if twice := [name for name, count in Counter(tensor.name for tensor in tensors).items() if count > 1]:
        raise Malformed(f"tensor {shown(twice[0])}: is listed twice")
    first = {tensor.name: row.get("tied_to") or tensor.name for row, tensor in zip(rows, tensors, strict=True)}
    names = grouped((first[tensor.name], tensor.name) for tensor in tensors)
    groups = {tensor.name: tuple(sorted(names[first[tensor.name]])) for tensor in tensors}
    return tuple(replace(t, tied=groups[t.name]) if len(groups[t.name]) > 1 else t for t in tensors)


def _texts(entries: object) -> Mapping[str, str]:
    found = entries.items() if isinstance(entries, dict) else ()
    return {key: text for key, text in found if isinstance(text, str)}
