"""A file that is read by itself, and may be no more than a part of a checkpoint."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from initctl.formats.directories.location import Location
from initctl.formats.files import read_table
from initctl.formats.parts.lone_shards import lone_shard
from initctl.formats.parts.ranks import lone_rank, refuse_chunks
from initctl.formats.parts.slices import refuse_lone_slices
from initctl.formats.together import together

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint
    from initctl.formats.table import FileTable


def read_file(path: str, root: str | None) -> Checkpoint:
    """The checkpoint in one file. Raises `InputError`, and `UsageError` if no tensor is at `root`."""
    directory, name = os.path.split(os.path.abspath(path))
    refuse_chunks(path)
    table = alone(path, read_table(path, name))
    return together(Location(path, directory, os.path.realpath(path)), table.format, [table], root=root)


def alone(path: str, table: FileTable) -> FileTable:
    """The `table` of the file at `path`, with warnings if it is one shard, or one rank's file.

    Raises `InputError` if it holds slices of tensors only.
    """
    refuse_lone_slices(path, table)
    warnings = (*lone_shard(path), *lone_rank(path, table.of_one_rank))
    return replace(table, warnings=(*table.warnings, *warnings))
