"""What a reader makes of one file: its tensors by the keys that lead to them, and what else it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initctl.errors import Problem
    from initctl.formats.checkpoint_file import CheckpointFile
    from initctl.formats.optimizers import OptimizerFacts
    from initctl.tensors import TensorSpec

Keys = tuple[object, ...]
"""The keys of dicts and numbers of lists that lead to a tensor, one inside the other."""


class Entry(NamedTuple):
    """A tensor, under its whole name, and the keys that lead to it."""

    keys: Keys
    tensor: TensorSpec


@dataclass(frozen=True, slots=True)
class FileTable:
    """One file's table, of a format.

    `metadata` are texts that describe the file; `contents` say in a word or two what it holds beside tensors, by key.
    `optimizers` are what it says of optimizers' parameters, by the dotted keys of their states. `unlisted` are bytes
    that something other than a tensor with a name leads to, called by the keys near it. `of_one_rank` says, as ends of
    sentences about the file, what in it shows that it is one rank's part. `read_only` is
    what messages call a format that initctl does not write.
    """

    format: str
    file: CheckpointFile
    entries: tuple[Entry, ...]
    metadata: Mapping[str, str]
    contents: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    optimizers: Mapping[str, OptimizerFacts] = field(default_factory=dict)
    unlisted: tuple[TensorSpec, ...] = ()
    of_one_rank: tuple[str, ...] = ()
    read_only: str | None = None
