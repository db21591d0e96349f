"""The files with weights that a directory holds without an index: one, or the slices of ranks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.errors import InputError, Problem, listed, shown
from initctl.formats.directories.weight_names import SAFETENSORS
from initctl.formats.files import read_table
from initctl.formats.parts.lone_files import alone
from initctl.formats.parts.ranks import ranks_among
from initctl.formats.parts.slices import are_slices, put_together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.formats.directories.location import Location
    from initctl.formats.table import FileTable


def read_unindexed(location: Location, names: Sequence[str]) -> list[FileTable]:
    """The tables of the files `names` in the folder at `location`, tensors whole. Raises `InputError`."""
    if len(names) > 1 and not names[0].endswith(SAFETENSORS):
        raise _several(location.path, names)
    first, *_ = tables = [_read(location, names[0])]
    if are_slices(first):
        return put_together(location.whole, tables + [_read(location, name) for name in names[1:]])
    if len(names) > 1:
        raise _several(location.path, names)
    return [alone(os.path.join(location.path, names[0]), first)]


def _read(location: Location, name: str) -> FileTable:
    return read_table(os.path.join(location.path, name), location.named(name))


def _several(path: str, names: Sequence[str]) -> InputError:
    """The error for a directory whose files `names` do not say how they belong together."""
    held = listed([shown(name) for name in names], at_most=5)
    if ranks := ranks_among(names):
        message = f"{shown(path)}: holds {held}, in which each rank of {ranks.writer} saved its part of the tensors"
        return InputError(Problem("directory.ranks", message, ranks.remedy))
    hint = "name one of them, or restore the index"
    return InputError(Problem("directory.ambiguous", f"{shown(path)}: holds {held} and no index", hint))
