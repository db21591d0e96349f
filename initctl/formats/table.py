"""The table of one file, which its reader makes: tensors by the keys that lead to them, and other contents."""

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
"""The keys of nested dicts, and indices of nested lists, that lead to a tensor: the outermost first."""


class Entry(NamedTuple):
    """A tensor, under its full name, and the keys that lead to it."""

    keys: Keys
    tensor: TensorSpec


@dataclass(frozen=True, slots=True)
class FileTable:
    """The table of one file.

    `metadata` are texts that describe the file. `contents` say in a word or two, by key, what it contains besides
    tensors. `optimizers` are facts about optimizers' parameters, by the dotted keys of their states. `unlisted` are
    bytes that belong to no named tensor; they are named after the keys near them. `of_one_rank` are the signs that the
    file is one rank's part; each ends a sentence about the file. If initctl cannot write the format, `read_only` is its
    name in messages.
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
