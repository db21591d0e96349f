"""A file that is read by itself, and may be no more than a part of a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from initctl.formats.parts.lone_shards import lone_shard
from initctl.formats.parts.ranks import lone_rank
from initctl.formats.parts.slices import refuse_lone_slices

if TYPE_CHECKING:
    from initctl.formats.table import Table


def alone(path: str, table: Table) -> Table:
    """The `table` of the file at `path`, with warnings if it is one shard, or one rank's file.

    Raises `InputError` if it holds slices of tensors only.
    """
    refuse_lone_slices(path, table)
    warnings = (*lone_shard(path), *lone_rank(path, table.of_one_rank))
    return replace(table, warnings=(*table.warnings, *warnings))
